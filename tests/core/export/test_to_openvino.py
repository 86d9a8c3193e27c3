"""OpenVINO computes in the precision that is asked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch

from core.export import to_openvino
from tests.core.export.exported import exported
from tests.core.export.networks import network


def test_it_computes_in_single_precision() -> None:
    run = to_openvino.load(exported() / "openvino" / "blur.xml", 1)
    x = torch.rand(4, 1, 32, 32) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(run(x)[0], network().module(x), atol=1e-6, rtol=1e-5)


def test_weights_lie_beside_the_graph() -> None:
    assert sorted(path.name for path in (exported() / "openvino").iterdir()) == ["blur.bin", "blur.xml"]


def test_several_threads_may_call_at_once() -> None:
    run = to_openvino.load(exported() / "openvino" / "blur.xml", 1)
    inputs = [torch.full((2, 1, 32, 32), number / 20) for number in range(20)]
    alone = [run(x)[0] for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda x: run(x)[0], inputs * 5))
    assert all(torch.equal(one, alone[number % 20]) for number, one in enumerate(together))
