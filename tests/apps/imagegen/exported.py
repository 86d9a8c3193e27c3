"""An export of the tiny pipeline that tests share: all networks in TorchScript, the U-Net in OpenVINO too."""

from __future__ import annotations

import functools
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import apps.imagegen.export as module
from apps.imagegen.config import ImagegenConfig
from apps.imagegen.models.networks import networks_of
from apps.imagegen.models.pipeline_folder import UNET
from core.errors import ExitCode
from core.export.network import Network
from core.runs.folder import Run
from tests.apps.imagegen.test_evaluate import judges
from tests.apps.imagegen.tiny import tiny_pipeline

FORMATS = ["torchscript", "openvino"]
_KEPT: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def folder() -> Path:
    """Return the folder that holds the pipeline, "tiny", its export, "out", and the run's record, "run"."""
    _KEPT.append(tempfile.TemporaryDirectory())
    made = Path(_KEPT[0].name)
    tiny_pipeline(made / "tiny")
    config = ImagegenConfig("export", output=str(made / "out"), weights=str(made / "tiny"), formats=FORMATS)
    with pytest.MonkeyPatch.context() as patch, (record := Run(made / "run", stage="export")).log:
        patch.setattr(module, "load_judges", lambda cache, edge, log: judges())
        patch.setattr(module, "networks_of", _in_seconds)
        assert module.run(config, record) == ExitCode.DONE
    return made


def metrics() -> dict[str, Any]:
    """Return what the export wrote to the record of its run."""
    content: dict[str, Any] = json.loads((folder() / "run" / "metrics.json").read_text())
    return content


def _in_seconds(*given: Any) -> list[Network]:
    return [
        one if one.name == UNET else replace(one, not_applicable={"openvino": "takes the tests too long"})
        for one in networks_of(*given)
    ]
