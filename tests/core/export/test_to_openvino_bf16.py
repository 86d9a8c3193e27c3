"""bfloat16 is offered where the processor has it, and named as missing elsewhere."""

from __future__ import annotations

from pathlib import Path

import openvino
import pytest
import torch

from core.export import to_openvino_bf16
from tests.core.export.networks import network


def test_what_a_processor_lacks_is_said() -> None:
    able = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert (to_openvino_bf16.lacking() is None) == able


@pytest.mark.filterwarnings("ignore")  # of the exporter's own parts
def test_weights_are_stored_in_half(tmp_path: Path) -> None:
    blur = network()
    files = to_openvino_bf16.write(blur, tmp_path / "blur")
    assert [file.name for file in files] == ["blur.xml", "blur.bin"]
    assert b'element_type="f16"' in files[0].read_bytes()
    x = torch.rand(2, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(
            to_openvino_bf16.load(files[0], 1)(x)[0], blur.module(x), atol=2e-2, rtol=2e-2
        )
