"""Code compiled for this processor computes what the network computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.export import to_aotinductor
from tests.core.export.networks import network
from tests.core.export.own_process import in_own_process


def compare(folder: str) -> None:
    blur = network()
    (file,) = to_aotinductor.write(blur, Path(folder) / "blur")
    run = to_aotinductor.load(file, None)
    for shape in ((1, 1, 8, 8), (8, 1, 64, 16)):
        x = torch.rand(shape)
        with torch.no_grad():
            torch.testing.assert_close(run(x)[0], blur.module(x), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_it_takes_other_sizes(tmp_path: Path) -> None:
    in_own_process(compare, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["blur.pt2"]


def test_a_machine_without_a_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert to_aotinductor.lacking() is None
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert to_aotinductor.lacking() == "there is no C++ compiler no-such-compiler here"
