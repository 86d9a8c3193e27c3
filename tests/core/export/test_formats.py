"""The table of formats, and what a person may ask for."""

from __future__ import annotations

import importlib.util
import inspect

import pytest

from core.errors import ConfigError
from core.export.formats import FORMATS, RUNTIMES, backend_of, chosen


def test_formats_come_in_the_order_of_the_table() -> None:
    assert [one.name for one in chosen(["openvino", "torchscript"])] == ["torchscript", "openvino"]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["onxx"], 'formats=onxx is not a format: did you mean "onnx"?'),
        ([], "formats=[] asks for nothing; choose among torch_export"),
        (["onnx", "onnx"], "formats names onnx twice"),
    ],
)
def test_a_wrong_choice_is_reported(names: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as raised:
        chosen(names)
    assert sentence in raised.value.sentence


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_writes_and_loads(name: str) -> None:
    if FORMATS[name].package is not None and importlib.util.find_spec(str(FORMATS[name].package)) is None:
        with pytest.raises(ConfigError, match=f"needs the package {FORMATS[name].package}: pip install"):
            backend_of(FORMATS[name])
        return
    backend = backend_of(FORMATS[name])
    assert list(inspect.signature(backend.write).parameters) == ["network", "path"]
    assert len(inspect.signature(backend.load).parameters) == 2


def test_runtimes_are_formats() -> None:
    assert set(RUNTIMES) < set(FORMATS)
    assert "triton" not in RUNTIMES
