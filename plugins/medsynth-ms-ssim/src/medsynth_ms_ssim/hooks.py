"""Announces the plugin; the metric is imported only when someone asks for it."""

from collections.abc import Iterator

from medsynth.plugins import Metric, PluginEntry, hookimpl


def _load() -> type[Metric]:
    from medsynth_ms_ssim.metric import MSSSIM

    return MSSSIM


@hookimpl
def medsynth_register_metrics() -> Iterator[PluginEntry[Metric]]:
    """One metric."""
    yield PluginEntry(
        name="ms-ssim",
        load=_load,
        summary="How alike the generated images of one class are: mean MS-SSIM of pairs (lower is more diverse).",
    )
