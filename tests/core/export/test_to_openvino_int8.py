"""Quantisation writes 8-bit weights, and leaves what it is told to."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.export import to_openvino_int8
from tests.core.export.exported import exported
from tests.core.export.networks import network


def test_convolutions_are_quantised() -> None:
    graph = (exported() / "openvino_int8" / "blur.xml").read_text()
    assert 'type="FakeQuantize"' in graph
    assert 'element_type="i8"' in graph


@pytest.mark.filterwarnings("ignore")  # of the exporter's own parts
def test_what_is_kept_stays_in_single_precision(tmp_path: Path) -> None:
    (graph, _) = to_openvino_int8.write(network(keep=("",)), tmp_path / "blur")
    assert 'type="FakeQuantize"' not in graph.read_text()
