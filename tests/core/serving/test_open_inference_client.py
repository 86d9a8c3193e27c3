"""The protocol, as NVIDIA's client speaks it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.core.export.networks import network
from tests.core.serving.exports import BLUR, MIX, SPIN, service
from tests.core.serving.service import DEADLINE_S

pytestmark = pytest.mark.slow
X = (torch.rand(2, 1, 16, 8, generator=torch.Generator().manual_seed(5)) * 2 - 1).numpy()


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with service() as (to, _):
        made = triton.InferenceServerClient(
            to.base_url.netloc.decode(),
            concurrency=8,
            connection_timeout=DEADLINE_S,
            network_timeout=DEADLINE_S,
        )
        yield made
        made.close()


def tensor(name: str, array: np.ndarray, datatype: str, *, binary: bool) -> Any:
    made = triton.InferInput(name, array.shape, datatype)
    return made.set_data_from_numpy(array, binary_data=binary)


def test_the_server_is_found_live_ready_and_described(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(BLUR)
    assert client.is_model_ready(BLUR, "1")
    assert not client.is_model_ready(BLUR, "2")
    assert not client.is_model_ready("toy-none")
    assert client.get_server_metadata()["name"] == "triptych"
    assert client.get_model_metadata(BLUR)["inputs"] == [
        {"name": "x", "datatype": "FP32", "shape": [-1, 1, -1, -1]}
    ]
    assert sorted(one["name"] for one in client.get_model_repository_index()) == [BLUR, MIX, SPIN]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
@pytest.mark.parametrize("outputs", ["all", "binary", "json"])
def test_arrays_go_and_come_in_every_form(
    client: Any, binary: bool, packed: str | None, outputs: str
) -> None:
    wanted = None if outputs == "all" else [triton.InferRequestedOutput("y", binary_data=outputs == "binary")]
    answer = client.infer(
        BLUR,
        [tensor("x", X, "FP32", binary=binary)],
        outputs=wanted,
        request_id="r-1",
        request_compression_algorithm=packed,
        response_compression_algorithm=packed,
    )
    assert answer.get_response()["id"] == "r-1"
    with torch.no_grad():
        expected = network().module(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(answer.as_numpy("y"), expected, atol=1e-5)


def test_several_inputs_and_types_in_one_request(client: Any) -> None:
    inputs = [
        tensor("scale", np.array([1, 2], "i8"), "INT64", binary=True),
        tensor("x", np.full((2, 4), 0.25, "f4"), "FP32", binary=False),
    ]
    answer = client.infer(SPIN, inputs)
    assert answer.as_numpy("next").tolist() == [2, 3]
    np.testing.assert_allclose(answer.as_numpy("y"), np.full((2, 4), 0.75), atol=1e-6)


def test_requests_at_once_get_their_own_answers(client: Any) -> None:
    sent = [(np.full((1 + index % 4, 4), index / 1000, "f4"), index) for index in range(80)]
    asked = []
    for x, index in sent:
        scale = np.arange(len(x), dtype="i8") + index
        inputs = [tensor("x", x, "FP32", binary=True), tensor("scale", scale, "INT64", binary=True)]
        asked.append(client.async_infer(SPIN, inputs))
    for (x, index), one in zip(sent, asked, strict=True):
        answer = one.get_result()
        np.testing.assert_allclose(answer.as_numpy("y"), x * 3, atol=1e-5)
        assert answer.as_numpy("next").tolist() == [index + 1 + row for row in range(len(x))]


@pytest.mark.parametrize(
    ("model", "array", "status", "sentence"),
    [
        ("toy-none", X, "404", "there is no model"),
        (BLUR, X * 5, "400", "outside -1 to 1"),
        (BLUR, X * np.float32("nan"), "400", "not finite"),
        (BLUR, X[:, :, :5], "400", "x is 5 along H, which takes 8 to 64 in steps of 8"),
        (BLUR, np.concatenate([X] * 5), "400", "x is 10 along B, which takes 1 to 8"),
    ],
)
def test_refusals_reach_the_caller_as_the_clients_own_error(
    client: Any, model: str, array: np.ndarray, status: str, sentence: str
) -> None:
    with pytest.raises(InferenceServerException) as raised:
        client.infer(model, [tensor("x", array, "FP32", binary=True)])
    assert raised.value.status() == status
    assert sentence in raised.value.message()
