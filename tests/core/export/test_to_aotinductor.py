"""Code compiled for this processor computes what the network computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.export import to_aotinductor
from tests.core.export.networks import network


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler's own parts
def test_it_takes_other_sizes(tmp_path: Path) -> None:
    blur = network()
    (file,) = to_aotinductor.write(blur, tmp_path / "blur")
    run = to_aotinductor.load(file, None)
    for shape in ((1, 1, 8, 8), (8, 1, 64, 16)):
        x = torch.rand(shape)
        with torch.no_grad():
            torch.testing.assert_close(run(x)[0], blur.module(x), atol=1e-5, rtol=1e-5)
