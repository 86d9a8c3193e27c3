"""An export of the small network that the tests of artifacts share."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

from core.export.formats import chosen
from core.export.publish import publish
from core.export.task import Metric, Replaced, Task
from tests.core.export.networks import Blur, network, samples

FORMATS = ("torch_export", "torchscript", "onnx", "openvino", "openvino_int8", "triton")
_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def mean_of(networks: Replaced) -> Mapping[str, float]:
    run = networks.get("blur", Blur().eval())
    with torch.no_grad():
        result = run(next(samples(1, first=300))[0])
    assert isinstance(result, torch.Tensor)
    return {"mean": float(result.abs().mean())}


TASK = Task("mean of a blurred picture", (Metric("mean", "mean of the output", "higher", 1e-3),), mean_of)


@functools.cache
def exported() -> Path:
    """Return the folder of an export; nobody changes it."""
    _KEPT.append(tempfile.TemporaryDirectory())
    folder = Path(_KEPT[0].name) / "blur"
    publish([network()], TASK, chosen(FORMATS), folder, app="toy", model="abc")
    return folder
