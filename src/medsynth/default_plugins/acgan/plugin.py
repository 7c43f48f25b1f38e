"""The options of the generator, and what each recipe makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import keras
from keras import ops

from medsynth.default_plugins.acgan.augment import CHANGES
from medsynth.default_plugins.acgan.classic import ClassicModel, classic_discriminator, classic_generator
from medsynth.default_plugins.acgan.features import frozen_features, projected_discriminator
from medsynth.default_plugins.acgan.modern import ModernModel, Objective
from medsynth.default_plugins.acgan.networks import doublings, modern_discriminator, modern_generator
from medsynth.errors import ConfigError, did_you_mean
from medsynth.plugins import Generator, ImageSpec
from medsynth.train.precision import wants_bfloat16

__all__ = ["ACGAN"]

_Check: TypeAlias = Callable[[float], bool]
_BOUNDS: dict[str, tuple[str, _Check]] = {
    "latent": ("at least 1", lambda value: value >= 1),
    "learning_rate": ("above 0 and finite", lambda value: 0 < value < math.inf),
    "discriminator_learning_rate": ("above 0 and finite", lambda value: 0 < value < math.inf),
    "beta_1": ("at least 0 and below 1", lambda value: 0 <= value < 1),
    "beta_2": ("at least 0 and below 1", lambda value: 0 <= value < 1),
    "average": ("at least 0 and below 1", lambda value: 0 <= value < 1),
    "width": ("at least 1", lambda value: value >= 1),
    "discriminator_width": ("at least 1", lambda value: value >= 1),
    "class_weight": ("at least 0 and finite", lambda value: 0 <= value < math.inf),
    "energy_weight": ("at least 0 and finite", lambda value: 0 <= value < math.inf),
    "margin": ("above 0.5 and at most 1", lambda value: 0.5 < value <= 1),
    "temperature": ("above 0 and finite", lambda value: 0 < value < math.inf),
    "augment_target": ("at least 0 and below 1", lambda value: 0 <= value < 1),
    "r1": ("at least 0 and finite", lambda value: 0 <= value < math.inf),
    "r1_every": ("at least 1", lambda value: value >= 1),
}
_MODERN: dict[str, float] = {
    "learning_rate": 5e-4,
    "beta_1": 0.0,
    "beta_2": 0.999,
    "average": 0.999,
    "width": 16,
    "discriminator_width": 32,
    "class_weight": 0.5,
    "energy_weight": 0.0,
    "augment_target": 0.6,
}
_RECIPES: dict[str, dict[str, float]] = {
    "classic": _MODERN | {"learning_rate": 2e-4, "beta_1": 0.5, "average": 0.0},
    "modern": _MODERN,
    "projected": _MODERN
    | {
        "learning_rate": 3e-4,
        "beta_2": 0.99,
        "width": 32,
        "discriminator_width": 64,
        "class_weight": 0.1,
        "energy_weight": 1.0,
        "augment_target": 0.0,
    },
}
_CLASSIC = (
    "recipe", "latent", "learning_rate", "discriminator_learning_rate", "beta_1", "beta_2", "average", "precision",
)  # fmt: skip
"""Its options."""
_FASTER = {"classic": 1.0, "modern": 2.0, "projected": 2.0}
"""The discriminator's learning rate over the generator's."""


class ACGAN(Generator):
    """AC-GAN: a discriminator that also names the class, and a generator that must satisfy both heads.

    The options from ``width`` to ``smooth`` are parts of the recipes after the classic one, which refuses them.

    Args:
        recipe: ``"modern"``: for a few hundred to a few thousand images; ``"classic"``: the networks and losses of the
            reports, which collapse; ``"projected"``: like modern, with a discriminator that sees images through a
            pretrained VGG16 too: recognised as often, at a fifth of the images a second.
        weights: Of that VGG16: ``"imagenet"`` (Keras downloads them on first use), ``"none"`` (random), or a
            ``.weights.h5`` file in Keras' own format. The other recipes have none.
        latent: Length of the noise vector.
        learning_rate: Of the generator's Adam optimizer; by default 5e-4, 2e-4 (classic),
            3e-4 (projected).
        discriminator_learning_rate: Of the discriminator's; by default twice the generator's, the same (classic).
        beta_1: Of both Adam optimizers; by default 0, 0.5 (classic).
        beta_2: Of both Adam optimizers; by default 0.999, 0.99 (projected).
        average: Decay of the exponential moving average of the generator's weights that is sampled and exported; 0
            exports the last weights, as the reports did. By default 0.999, 0 (classic).
        width: Maps of the generator at the highest resolution; each coarser one has twice as many, at most 256. By
            default 16, 32 (projected).
        discriminator_width: Maps after the discriminator's first convolution, likewise. By default 32, 64 (projected).
        class_loss: ``"d2d"``: data-to-data cross-entropy on normalised embeddings (ReACGAN); ``"auxiliary"``: the
            softmax head of AC-GAN, taught by real images only.
        class_weight: Of the class loss beside the hinge loss; by default 0.5, 0.1 (projected).
        energy_weight: Of the energy distance between what the discriminator sees of real and of generated images of a
            class, in the generator's loss: it pushes images apart that are more alike than real ones. All images of a
            step are then changed alike by ``augment``. By default 0, 1 (projected).
        margin: Of ``d2d``.
        temperature: Of ``d2d``.
        spectral_norm: Divide the discriminator's kernels by their largest singular values.
        conditional_norm: Gain and bias of the generator's normalisations depend on class and noise.
        minibatch_deviation: The discriminator sees how much the images of a batch differ.
        augment: Random changes before the discriminator (those of DiffAugment), joined by commas: ``brightness``,
            ``contrast``, ``translation``, ``cutout``; or ``none``.
        augment_target: How sure the discriminator may be of real images, as the mean sign of its logits: above it each
            change is made to more images, below it to fewer (ADA); 0: always to all. By default 0.6, 0 (projected).
        r1: Weight of the penalty on the discriminator's gradient at real images; 0: none.
        r1_every: Steps from one penalty to the next.
        smooth: Double by interpolation, not by repeating pixels.
        precision: Of the convolutions while training: ``"float32"``, ``"bfloat16"``, or ``"auto"``, which takes
            bfloat16 on processors that have instructions for it. What is exported is float32. By default
            ``auto``, ``float32`` (classic).
    """

    name = "acgan"
    trained_parts = ("generator", "discriminator")

    def __init__(
        self,
        *,
        recipe: Literal["classic", "modern", "projected"] = "modern",
        weights: str = "imagenet",
        latent: int = 100,
        learning_rate: float | None = None,
        discriminator_learning_rate: float | None = None,
        beta_1: float | None = None,
        beta_2: float | None = None,
        average: float | None = None,
        width: int | None = None,
        discriminator_width: int | None = None,
        class_loss: Literal["d2d", "auxiliary"] = "d2d",
        class_weight: float | None = None,
        energy_weight: float | None = None,
        margin: float = 0.98,
        temperature: float = 0.5,
        spectral_norm: bool = True,
        conditional_norm: bool = True,
        minibatch_deviation: bool = True,
        augment: str = "brightness,contrast,translation,cutout",
        augment_target: float | None = None,
        r1: float = 0.0,
        r1_every: int = 16,
        smooth: bool = True,
        precision: Literal["auto", "bfloat16", "float32"] | None = None,
    ) -> None:
        given = dict(locals())
        if recipe not in _RECIPES:
            raise ConfigError(f"acgan: option 'recipe' must be one of {', '.join(_RECIPES)}. Got '{recipe}'.")
        if recipe != "projected" and weights not in {"imagenet", "none"}:
            raise ConfigError(f"acgan: option 'weights' needs recipe=projected. Got '{weights}' with recipe={recipe}.")
        if recipe == "classic":
            for name, default in (ACGAN.__init__.__kwdefaults__ or {}).items():
                if name not in (*_CLASSIC, "weights") and given[name] != default:
                    raise ConfigError(
                        f"acgan: option '{name}' must be left out with recipe=classic, whose options are "
                        f"{', '.join(_CLASSIC)}. Got {given[name]}."
                    )
        if class_loss not in {"d2d", "auxiliary"}:
            raise ConfigError(f"acgan: option 'class_loss' must be 'd2d' or 'auxiliary'. Got '{class_loss}'.")
        own = dict(_RECIPES[recipe])
        own["discriminator_learning_rate"] = _FASTER[recipe] * (learning_rate or own["learning_rate"])
        for name, (words, within) in _BOUNDS.items():
            value = own[name] if given[name] is None else given[name]
            if not within(value):
                raise ConfigError(f"acgan: option '{name}' must be {words}. Got {value}.")
            given[name] = value
        self.recipe, self.weights, self.latent, self.smooth = recipe, weights, latent, smooth
        self.precision = precision or ("float32" if recipe == "classic" else "auto")
        self.learning_rate: float = given["learning_rate"]
        self.discriminator_learning_rate: float = given["discriminator_learning_rate"]
        self.beta_1: float = given["beta_1"]
        self.beta_2: float = given["beta_2"]
        self.average: float = given["average"]
        self.width: int = given["width"]
        self.discriminator_width: int = given["discriminator_width"]
        self.spectral_norm, self.conditional_norm = spectral_norm, conditional_norm
        self.minibatch_deviation = minibatch_deviation
        self.objective = Objective(
            class_loss=class_loss,
            class_weight=given["class_weight"],
            energy_weight=given["energy_weight"],
            margin=margin,
            temperature=temperature,
            augment=_changes(augment),
            augment_target=given["augment_target"],
            r1=r1,
            r1_every=r1_every,
            average=self.average,
        )
        self.balanced_batches = recipe != "classic"

    def build(self, image: ImageSpec, num_classes: int) -> keras.Model:
        """Build both networks and compile them with their optimizers."""
        model = self._classic(image, num_classes) if self.recipe == "classic" else self._modern(image, num_classes)
        model.compile(
            optimizer=keras.optimizers.Adam(self.learning_rate, self.beta_1, self.beta_2),
            discriminator_optimizer=keras.optimizers.Adam(self.discriminator_learning_rate, self.beta_1, self.beta_2),
        )
        return model

    def _classic(self, image: ImageSpec, num_classes: int) -> keras.Model:
        if image.height % 4 or image.width % 4 or min(image.height, image.width) < 16:
            raise ConfigError(
                "acgan: image height and width must be multiples of 4 and at least 16 (the generator doubles twice). "
                f"Got {image.height}x{image.width}; set image_size."
            )
        fast = self._policy()
        # What is exported is computed in float32; an average without memory is the last weights. Not asked of the
        # processor, because what a run stores must not depend on the machine that trains, resumes or exports it.
        apart = self.average > 0 or self.precision != "float32"
        return ClassicModel(
            generator=classic_generator(image, num_classes, self.latent, fast),
            discriminator=classic_discriminator(image, num_classes, fast),
            averaged=classic_generator(image, num_classes, self.latent) if apart else None,
            average=self.average,
        )

    def _modern(self, image: ImageSpec, num_classes: int) -> keras.Model:
        times = doublings(image)
        # VGG16's first four blocks leave a sixteenth of each side.
        least, sizes = (3, "") if self.recipe == "projected" else (2, "16, 20, ..., ")
        if times < least or min(image.height, image.width) >> times > 7 or max(image.shape[:2]) % (1 << times):
            raise ConfigError(
                f"acgan: height and width of the {self.recipe} recipe must be 4 to 7 pixels doubled at least {least} "
                f"times ({sizes}32, 48, 64, 96, 128, 256). Got {image.height}x{image.width}; set image_size."
            )
        fast = self._policy()

        def generator(dtype: str) -> keras.Model:
            return modern_generator(
                image,
                num_classes,
                latent=self.latent,
                width=self.width,
                conditional_norm=self.conditional_norm,
                smooth=self.smooth,
                dtype=dtype,
            )

        common: dict[str, Any] = {
            "width": self.discriminator_width,
            "embedding": 128,
            "spectral": self.spectral_norm,
            "deviation": self.minibatch_deviation,
            "dtype": fast,
        }
        if self.recipe == "projected":
            features = frozen_features(image, self.weights, fast)
            discriminator = projected_discriminator(image, features, **common)
        else:
            features = None
            discriminator = modern_discriminator(image, **common)
        return ModernModel(
            generator=generator(fast),
            averaged=generator("float32"),
            discriminator=discriminator,
            num_classes=num_classes,
            objective=self.objective,
            features=features,
        )

    def _policy(self) -> str:
        return "mixed_bfloat16" if wants_bfloat16(self.precision) else "float32"

    def sampler(self, trained: Any) -> keras.Model:
        """The generator, its tanh mapped to grey levels 0 to 255."""
        noise = keras.Input((self.latent,), dtype="float32", name="noise")
        label = keras.Input((), dtype="int64", name="label")
        generator = trained.generator if trained.averaged is None else trained.averaged
        grey = ops.clip(ops.round((generator([noise, label]) + 1.0) * 127.5), 0.0, 255.0)
        return keras.Model([noise, label], ops.cast(grey, "uint8"), name="sampler")


def _changes(text: str) -> tuple[str, ...]:
    if text.strip() == "none":
        return ()
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in CHANGES:
            raise ConfigError(
                f"acgan: option 'augment' must be 'none' or of {', '.join(CHANGES)}. Got '{name}'."
                f"{did_you_mean(name, CHANGES)}"
            )
    return names
