"""The options of an export, and of running on one: the same words in every app."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.export.formats import AUTO, FORMATS, RUNTIMES
from core.export.reasons import OPTIONS
from core.settings.schema import path_text, setting


def formats_option(default: Sequence[str], also: str = "") -> Any:
    """Declare `formats`. also: what else stage=export writes, in a few words."""
    about = f"formats to write, of {', '.join(FORMATS)}"
    return setting(list(default), f"{about}{also}", stages=("export",))


def artifacts_option(stages: Sequence[str]) -> Any:
    """Declare `artifacts`, the folder of an export whose networks run in these stages."""
    return path_text(
        None,
        "folder of stage=export: run the networks from there",
        null="PyTorch runs them",
        exists=True,
        stages=stages,
    )


def runtime_option(stages: Sequence[str]) -> Any:
    """Declare `runtime`, the format that runs in these stages."""
    return setting(
        AUTO,
        "format of artifacts= that is run; auto: the fastest by its manifest, or PyTorch where that is faster",
        choices=(AUTO, *RUNTIMES),
        stages=stages,
        only_with="artifacts",
    )


def check_device(artifacts: str | None, device: str, name: str) -> None:
    """Raise ConfigError where artifacts, which run on the CPU, are wanted on a GPU. name: of the device's option."""
    if artifacts is not None and device == "cuda":
        raise OPTIONS("artifacts_on_cpu", name=name)
