"""The protocol, as plain HTTP has it."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from core.errors import InputError
from core.export.manifest import NAME
from core.runs.log import RunLog
from core.serving.open_inference import EXTENSIONS
from tests.core.export.networks import network
from tests.core.serving.exports import (
    BLUR,
    MIX,
    SPIN,
    blur_request,
    folder,
    infer,
    service,
    spin_request,
    spun,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "log.jsonl"


@pytest.fixture(scope="module")
def to(log: Path) -> Iterator[httpx.Client]:
    with RunLog(log) as lines, service(log=lines) as (client, _):
        yield client


def test_the_server_and_its_models_are_described(to: httpx.Client) -> None:
    server = to.get("/v2").json()
    assert (server["name"], server["extensions"]) == ("triptych", EXTENSIONS)
    assert to.get("/v2/health/live").json() == {"live": True}
    assert to.get("/v2/health/ready").json() == {"ready": True}
    assert to.get("/health/ready").json() == {"status": "ready"}
    names = sorted((BLUR, MIX, SPIN))
    index = to.post("/v2/repository/index").json()
    assert sorted(one["name"] for one in index) == names
    assert index == [{"name": one["name"], "version": "1", "state": "READY", "reason": ""} for one in index]
    assert len(to.post("/v2/repository/index", json={"ready": True}).json()) == 3
    for name in names:
        for path in (f"/v2/models/{name}", f"/v2/models/{name}/versions/1"):
            assert to.get(path).json()["name"] == name
            assert to.get(f"{path}/ready").json() == {"name": name, "ready": True}


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_an_answer_is_that_of_the_network(to: httpx.Client, version: str) -> None:
    x = torch.rand(2, 1, 8, 16, generator=torch.Generator().manual_seed(3)) * 2 - 1
    sent = {"name": "x", "shape": list(x.shape), "datatype": "FP32", "data": x.tolist()}
    answer = to.post(f"/v2/models/{BLUR}{version}/infer", json={"id": "a-7", "inputs": [sent]})
    content = answer.json()
    (output,) = content.pop("outputs")
    assert content == {"model_name": BLUR, "model_version": "1", "id": "a-7"}
    assert (output["name"], output["datatype"], output["shape"]) == ("y", "FP32", [2, 2, 8, 16])
    with torch.no_grad():
        expected = network().module(x)
    np.testing.assert_allclose(np.array(output["data"], "f4").reshape(2, 2, 8, 16), expected, atol=1e-5)


def test_outputs_are_those_that_are_asked_for(to: httpx.Client) -> None:
    answer = infer(to, SPIN, spin_request(0.25, 0.5, outputs=[{"name": "next"}])).json()
    assert answer["outputs"] == [{"name": "next", "datatype": "INT64", "shape": [2], "data": [1, 2]}]


def test_bytes_go_in_and_out(to: httpx.Client) -> None:
    x, scale = np.array([[0.25] * 4], "<f4"), np.array([41], "<i8")
    text = json.dumps(
        {
            "inputs": [
                {"name": "scale", "shape": [1], "datatype": "INT64", "parameters": {"binary_data_size": 8}},
                {"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}},
            ],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    body = text + scale.tobytes() + x.tobytes()
    for packed, headers in ((body, {}), (gzip.compress(body), {"Content-Encoding": "gzip"})):
        answer = to.post(
            f"/v2/models/{SPIN}/infer",
            content=packed,
            headers={"Inference-Header-Content-Length": str(len(text)), **headers},
        )
        assert answer.headers["content-type"] == "application/octet-stream"
        length = int(answer.headers["inference-header-content-length"])
        outputs = json.loads(answer.content[:length])["outputs"]
        assert [one["parameters"]["binary_data_size"] for one in outputs] == [16, 8]
        np.testing.assert_array_equal(np.frombuffer(answer.content[length : length + 16], "<f4"), x[0] * 3)
        assert np.frombuffer(answer.content[length + 16 :], "<i8").tolist() == [42]


def test_concurrent_requests_get_their_own_rows(to: httpx.Client) -> None:
    sent = [[round(0.01 * index + 0.001 * row, 4) for row in range(1 + index % 3)] for index in range(60)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda rows: spun(infer(to, SPIN, spin_request(*rows))), sent))
    assert answers == sent


X = blur_request(0.5)["inputs"][0]
REFUSED: list[tuple[str, Any, int, str, str]] = [
    ("toy-none", {}, 404, "infer_model_unknown", 'there is no model "toy-none" here'),
    (f"{BLUR}/versions/2", {}, 404, "infer_version_unknown", 'toy-blur has no version "2"; it has 1'),
    (BLUR, {"inputs": [{**X, "name": "z"}]}, 400, "infer_input_unknown", 'no input "z"; there are x'),
    (BLUR, {"inputs": [{**X, "datatype": "FP64"}]}, 400, "infer_datatype", "it takes FP32"),
    (
        BLUR,
        {"inputs": [{**X, "shape": [64]}]},
        400,
        "predict_rank",
        "blur: x has 1 dimensions, not 4 (B, 1, H, W)",
    ),
    (
        BLUR,
        {"inputs": [{**X, "shape": [1, 1, 4, 16]}]},
        400,
        "predict_size",
        "blur: x is 4 along H, which takes 8 to 64 in steps of 8",
    ),
    (BLUR, blur_request(*[0.0] * 9), 400, "predict_size", "blur: x is 9 along B, which takes 1 to 8"),
    (BLUR, {"inputs": [{**X, "data": [2.0] * 64}]}, 400, "predict_range", "outside -1 to 1"),
    (BLUR, {"inputs": [{**X, "data": [1e300] * 64}]}, 400, "predict_not_finite", "not finite"),
    (
        BLUR,
        {"inputs": [{**X, "data": [0.0] * 63}]},
        400,
        "infer_data_count",
        "takes 64 values, and 63 are given",
    ),
    (SPIN, {"inputs": spin_request(0.1)["inputs"][:1]}, 400, "infer_input_missing", "inputs lacks scale"),
]


@pytest.mark.parametrize(("path", "content", "status", "code", "sentence"), REFUSED)
def test_what_a_model_does_not_take_is_refused(
    to: httpx.Client, path: str, content: Any, status: int, code: str, sentence: str
) -> None:
    answer = to.post(f"/v2/models/{path}/infer", json=content)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert sentence in answer.json()["error"]
    assert set(answer.json()) == {"error", "code"}


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_values_that_are_no_numbers_are_refused(to: httpx.Client, literal: str) -> None:
    body = json.dumps(blur_request(0.5)).replace("0.5", literal, 1)
    answer = to.post(f"/v2/models/{BLUR}/infer", content=body)
    assert answer.status_code == 400
    assert answer.json()["code"] in ("predict_not_finite", "infer_not_json")


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"{", {}, 400, "infer_not_json"),
        (b"", {}, 400, "infer_not_json"),
        (b"{}", {"Inference-Header-Content-Length": "-1"}, 400, "infer_header_number"),
        (b"{}", {"Inference-Header-Content-Length": "9" * 30}, 400, "infer_header_length"),
        (b"{}", {"Content-Encoding": "gzip"}, 400, "body_encoding_damaged"),
        (gzip.compress(bytes(40_000_000)), {"Content-Encoding": "gzip"}, 413, "body_unpacked_too_large"),
        (bytes(33_000_000), {}, 413, "body_too_large"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    to: httpx.Client, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = to.post(f"/v2/models/{BLUR}/infer", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models", 404),
        ("GET", "/v2/models/toy-none", 404),
        ("GET", "/v2/models/toy-none/ready", 404),
        ("GET", f"/v2/models/{BLUR}/infer", 405),
        ("POST", "/v2/repository/models/toy-blur/unload", 404),
        ("GET", f"/v2/models/..%2F{BLUR}", 404),
    ],
)
def test_there_is_nothing_else(to: httpx.Client, method: str, path: str, status: int) -> None:
    answer = to.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "code"}


def test_nothing_of_a_request_is_logged(to: httpx.Client, log: Path) -> None:
    infer(to, BLUR, blur_request(0.123456, id="secret-id"))
    infer(to, "secret-model", {})
    text = log.read_text()
    assert "/v2/models/<model>/infer" in text
    assert "secret" not in text
    assert "0.123456" not in text


def test_the_description_says_what_is_answered(to: httpx.Client) -> None:
    paths = to.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        for operation in operations.values():
            described = {one["name"] for one in operation.get("parameters", ())}
            assert described == set(re.findall(r"{(\w+)}", path)), path
    answers = paths["/v2/models/{model}/infer"]["post"]["responses"]
    assert {"200", "400", "404", "408", "413", "415", "429", "500", "503", "504"} <= set(answers)
    for code, answer in answers.items():
        if code != "200":
            schema = answer["content"]["application/json"]["schema"]
            assert schema["properties"]["error"] == {"type": "string"}


def test_metrics_count_models(to: httpx.Client) -> None:
    assert infer(to, MIX, {"inputs": spin_request(0.1)["inputs"][:1]}).status_code == 200
    text = to.get("/metrics").text
    for name in (BLUR, MIX, SPIN):
        assert f'model_processes{{model="{name}"}} 1.0' in text
        assert f'model_requests_waiting{{model="{name}"}} 0.0' in text
    assert f'model_inferences_total{{model="{MIX}"}}' in text


def test_a_copy_whose_file_changed_is_not_served(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder(), copy)
    with (copy / "torchscript" / "mix.pt").open("ab") as stream:
        stream.write(b"!")
    with pytest.raises(InputError, match=r"mix\.pt is not the file that was exported"), service(copy):
        pass
    content = json.loads((copy / NAME).read_text())
    content["artifacts"][0]["files"][0]["path"] = "../../outside.pt"
    (copy / NAME).write_text(json.dumps(content))
    with pytest.raises(InputError, match="which lies outside its folder"), service(copy):
        pass
