"""Quantisation writes 8-bit weights, and leaves the parts that are kept in f32."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from core.export import to_openvino_int8
from tests.core.export.exported import exported
from tests.core.export.networks import Blur, network, samples
from tests.core.export.own_process import in_own_process


def test_convolutions_are_quantised() -> None:
    graph = (exported() / "openvino_int8" / "blur.xml").read_text()
    assert 'type="FakeQuantize"' in graph
    assert 'element_type="i8"' in graph


@pytest.mark.filterwarnings("ignore")  # of the exporter's own parts
def test_what_is_kept_stays_in_single_precision(tmp_path: Path) -> None:
    (graph, _) = to_openvino_int8.write(network(keep=("",)), tmp_path / "blur")
    assert 'type="FakeQuantize"' not in graph.read_text()


@pytest.mark.filterwarnings("ignore")  # of the exporter's own parts
def test_types_that_are_not_named_stay_in_single_precision(tmp_path: Path) -> None:
    (graph, _) = to_openvino_int8.write(network(quantised=("MatMul",)), tmp_path / "blur")
    assert 'type="FakeQuantize"' not in graph.read_text()
    (graph, _) = to_openvino_int8.write(network(quantised=("Convolution",)), tmp_path / "blur")
    assert 'type="FakeQuantize"' in graph.read_text()


@pytest.mark.filterwarnings("ignore")  # of the exporter's own parts
def test_what_is_rare_among_the_samples_is_kept(tmp_path: Path) -> None:
    faint = [(one * 0.1,) for (one,) in samples(39, first=200)]
    (bright,) = samples(1, first=300)
    rare = network(
        module=nn.Sequential(Blur(), nn.Conv2d(2, 2, 1)).eval(), calibration=lambda: iter([*faint, bright])
    )
    (file, _) = to_openvino_int8.write(rare, tmp_path / "rare")
    with torch.no_grad():
        expected = rare.module(*bright)
    (given,) = to_openvino_int8.load(file, 1)(*bright)
    assert float((given - expected).abs().max() / expected.abs().max()) < 0.05


@pytest.mark.filterwarnings("ignore")  # of the exporter's own parts
def test_layers_return_to_single_precision_until_the_error_is_small(tmp_path: Path) -> None:
    close = network(int8_error=1e-3)
    (file, _) = to_openvino_int8.write(close, tmp_path / "close")
    for (x,) in samples(3, first=400):
        with torch.no_grad():
            expected = close.module(x)
        (given,) = to_openvino_int8.load(file, 1)(x)
        (plain,) = to_openvino_int8.load(exported() / "openvino_int8" / "blur.xml", 1)(x)
        assert (given - expected).norm() < 1.5e-3 * expected.norm() < (plain - expected).norm()


class FewLarge(nn.Module):
    """Input (B, 1, H, W) to (B, 2, H, W): 16 channels, one of them 300 times as large as the rest, and a product."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weights = nn.Parameter(torch.randn(16))
        self.size = torch.tensor([300.0, *15 * [1.0]])
        self.product = nn.Linear(16, 2)
        with torch.no_grad():
            self.product.weight[:, 0] /= 300.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x_BHWC = torch.sin(x.movedim(1, -1) * self.weights) * self.size
        y: torch.Tensor = self.product(x_BHWC)
        return y.movedim(-1, 1)


@pytest.mark.filterwarnings("ignore")  # of the exporter's own parts
def test_large_channels_are_evened_out_where_there_is_attention(tmp_path: Path) -> None:
    (x,) = next(samples(1, first=500))
    errors = []
    for attention in (False, True):
        few = network(module=FewLarge().eval(), attention=attention)
        (file, _) = to_openvino_int8.write(few, tmp_path / f"few-{attention}")
        with torch.no_grad():
            expected = few.module(x)
        (given,) = to_openvino_int8.load(file, 1)(x)
        errors.append(float((given - expected).norm() / expected.norm()))
    assert errors[1] < 0.05
    assert errors[1] < errors[0] / 3


def quantise_in_private(folder: str) -> None:
    outward: list[str] = []

    def hook(event: str, _: tuple[Any, ...]) -> None:
        if event in ("os.fork", "socket.getaddrinfo", "socket.connect"):
            outward.append(event)

    sys.addaudithook(hook)
    to_openvino_int8.write(network(), Path(folder) / "blur")
    time.sleep(0.5)  # a report would leave from a thread
    assert not outward


def test_nothing_is_reported_to_anybody(tmp_path: Path) -> None:
    in_own_process(quantise_in_private, tmp_path)
