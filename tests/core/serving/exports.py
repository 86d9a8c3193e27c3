"""Folders of stage=export with small networks, in TorchScript, and the server of them in a thread of this process."""

from __future__ import annotations

import contextlib
import functools
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from torch import Tensor, nn

from core.export.formats import chosen
from core.export.ports import Axis, Port
from core.export.publish import publish
from core.export.task import Metric, Task
from core.runs.log import RunLog
from core.serving.exported_folder import exported
from core.serving.models_config import ModelsConfig
from core.serving.open_inference import build
from core.serving.served_model import ServedModel
from core.serving.server import served
from tests.core.export.networks import network
from tests.core.serving.service import DEADLINE_S

TASK = Task("nothing", (Metric("one", "one", "higher", 0.0),), lambda networks: {"one": 1.0})
BLUR, SPIN, MIX = "toy-blur", "toy-spin", "toy-mix"
_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def _spin(x: Tensor) -> Tensor:
    """Go round and round where a value is above 0.9."""
    while bool((x > 0.9).any()):
        x = x + 0.0
    return x


with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    spin = torch.jit.script(_spin)  # the loop stays one in the trace


class Spin(nn.Module):
    """The input tripled; a value above 0.9 takes for ever."""

    def forward(self, x: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        return spin(x) * 3, scale + 1


class Mix(nn.Module):
    """Each row less the mean of all: rows depend on their batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean()


def _draw(sizes: Mapping[str, int], generator: torch.Generator) -> tuple[Tensor, ...]:
    x = torch.rand(sizes["B"], 4, generator=generator) - 0.5
    return x, torch.arange(sizes["B"])


@functools.cache
def folder(*names: str) -> Path:
    """Return the folder of an export with these networks, all three where none is named; nobody changes it."""
    _KEPT.append(tempfile.TemporaryDirectory())
    path = Path(_KEPT[-1].name) / "toy"
    common: dict[str, Any] = {
        "axes": (Axis("B", 1, 64),),
        "sizes": ({"B": 2}, {"B": 3}),
        "calibration": None,
        "real": lambda: iter(()),
    }
    x = Port("x", ("B", 4))
    spinning = network(
        name="spin",
        module=Spin().eval(),
        inputs=(x, Port("scale", ("B",), "int64")),
        outputs=(Port("y", ("B", 4)), Port("next", ("B",), "int64")),
        draw=_draw,
        **common,
    )
    mixing = network(
        name="mix",
        module=Mix().eval(),
        inputs=(x,),
        outputs=(Port("y", ("B", 4)),),
        draw=lambda sizes, generator: _draw(sizes, generator)[:1],
        **common,
    )
    networks = [one for one in (network(), spinning, mixing) if not names or one.name in names]
    publish(networks, TASK, chosen(["torchscript"]), path, app="toy", model="a" * 64)
    return path


@contextlib.contextmanager
def service(
    *folders: Path, only: Sequence[str] = (), log: RunLog | None = None, **settings: Any
) -> Iterator[tuple[httpx.Client, dict[str, ServedModel]]]:
    """Give a client of the server, and its models. only: names of those served, all where there is none."""
    config = ModelsConfig(artifacts="x", threads=1, **settings)
    found = [one for one in exported(folders or (folder(),), config.runtime) if not only or one.name in only]
    app, models = build(found, config, log)
    with served(app, grace_s=5.0) as url, httpx.Client(base_url=url, timeout=DEADLINE_S) as to:
        yield to, {model.name: model for model in models}


def blur_request(*rows: float, **more: Any) -> dict[str, Any]:
    """Return the JSON of a request for the blurring network: a flat picture of each value."""
    data = np.repeat(np.array(rows, "f4"), 64).tolist()
    shape = [len(rows), 1, 8, 8]
    return {"inputs": [{"name": "x", "shape": shape, "datatype": "FP32", "data": data}], **more}


def spin_request(*rows: float, **more: Any) -> dict[str, Any]:
    """Return the JSON of a request for the spinning network."""
    count = len(rows)
    return {
        "inputs": [
            {"name": "x", "shape": [count, 4], "datatype": "FP32", "data": [[row] * 4 for row in rows]},
            {"name": "scale", "shape": [count], "datatype": "INT64", "data": list(range(count))},
        ],
        **more,
    }


def infer(to: httpx.Client, model: str, content: Mapping[str, Any], **how: Any) -> httpx.Response:
    return to.post(f"/v2/models/{model}/infer", json=content, **how)


def spun(answer: httpx.Response) -> list[float]:
    """Return the rows that the spinning network answered, each by its first value, a third of it."""
    assert answer.status_code == 200, answer.text
    (output,) = (one for one in answer.json()["outputs"] if one["name"] == "y")
    values = np.array(output["data"]).reshape(output["shape"])
    assert (values == values[:, :1]).all()
    return [round(float(value) / 3, 5) for value in values[:, 0]]
