from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.networks import export_dense
from benchmarks.serving.running import Client, Server, inputs_of, output_of, request_of, running
from core.errors import InputError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("dense") / "exported"
    export_dense(folder, 8, 16, 2, "torchscript")
    with running(folder, "runtime=torchscript") as started:
        yield started


def test_both_forms_of_a_request_get_the_same_answer(server: Server) -> None:
    assert len(server.children()) == 1
    client = Client(server.port)
    for x in inputs_of(3, 8, [1, 3]):
        outputs = []
        for binary in (True, False):
            status, content, json_bytes = client.ask(*request_of(x, binary=binary))
            assert status == 200
            assert (json_bytes is None) != binary
            outputs.append(output_of(content, json_bytes))
        assert outputs[0].shape == (len(x), 8)
        np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-6)
    client.close()


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no manifest"), running(tmp_path / "none"):
        pass
