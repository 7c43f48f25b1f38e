from __future__ import annotations

from matplotlib.figure import Figure

from medsynth.train.curves import draw_generator_curves


def test_what_lies_between_0_and_1_is_not_drawn_among_the_losses(tmp_path, monkeypatch):
    drawn, save = {}, Figure.savefig

    def noted(self, *args, **kwargs):
        drawn.update({axes.get_ylabel(): {line.get_label() for line in axes.lines} for axes in self.axes})
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", noted)
    figures = {"generator_loss": 3.0, "class_accuracy": 0.5, "augment_probability": 0.1, "watch_distance": 1.0}
    draw_generator_curves([{"step": step, "seconds": 0.1, **figures} for step in range(3)], tmp_path / "curves.png")
    assert drawn == {"loss": {"generator loss"}, "share": {"class accuracy", "augment probability"}}
