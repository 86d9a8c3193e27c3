"""A real TorchServe on loopback: the archive is registered, scaled and versioned, and answers what Python finds."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from apps.nodule.infer import infer
from apps.nodule.report.reported import reported
from apps.nodule.report.tables import report
from tests.apps.nodule.inputs import fresh_weights, good_ct, localiser, missing
from tests.core.export.own_process import ROOT
from tests.deploy.archives import nodule_archive, zipped_folder
from tests.deploy.networks import detector

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]
START_S = 60
CONFIG = ROOT / "deploy" / "torchserve" / "config.properties"


@dataclass(frozen=True)
class Server:
    """inference, management: clients of both addresses. folder: where it runs, with its key file."""

    inference: httpx.Client
    management: httpx.Client
    folder: Path
    process: subprocess.Popen[bytes]

    def keys(self) -> dict[str, str]:
        """Return the keys of the management, inference and token APIs."""
        held = json.loads((self.folder / "key_file.json").read_text("utf-8"))
        return {name: one["key"] for name, one in held.items()}

    def log(self) -> str:
        return (self.folder / "output.txt").read_text("utf-8", errors="replace")


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def torchserve(folder: Path, store: Path, *words: str) -> Iterator[Server]:
    """Run TorchServe with the project's configuration on free ports, and stop it with all its workers."""
    if shutil.which("java") is None:
        pytest.skip("needs Java")
    folder.mkdir()
    ports = free_ports(5)
    config = CONFIG.read_text("utf-8")
    for default, port in zip((8080, 8081, 8082, 7070, 7071), ports, strict=True):
        assert config.count(str(default)) == 1
        config = config.replace(str(default), str(port))
    (folder / "config.properties").write_text(config, "utf-8")
    command = [
        sys.executable, "-m", "ts.model_server", "--start", "--foreground", "--ncs", "--enable-model-api",
        "--model-store", str(store), "--ts-config", "config.properties", *words,
    ]  # fmt: skip
    # its record of the running server, which allows one a machine, lies in this folder
    own = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "PYTHONPATH": str(ROOT)}
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=own, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    clients = [httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) for port in ports[:2]]
    server = Server(clients[0], clients[1], folder, process)
    try:
        until(lambda: healthy(server), START_S, server)
        yield server
    finally:
        for client in clients:
            client.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        until(lambda: not group_lives(process.pid), 30, server)


def healthy(server: Server) -> bool:
    assert server.process.poll() is None, server.log()[-3000:]
    try:
        # with token authorisation this too wants a key, which is there before the server listens
        key = server.keys()["inference"] if (server.folder / "key_file.json").exists() else "none"
        answer = server.inference.get("/ping", headers={"Authorization": f"Bearer {key}"})
        return bool(answer.json() == {"status": "Healthy"})
    except (httpx.TransportError, json.JSONDecodeError):  # not listening, or still writing its keys
        return False


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def until(holds: Callable[[], bool], seconds: float, server: Server) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, server.log()[-3000:]
        time.sleep(0.1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_weights(tmp_path_factory.mktemp("weights") / "weights.safetensors")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """A model store with two versions of the detector."""
    folder = tmp_path_factory.mktemp("store")
    nodule_archive(folder, weights, "2.0").rename(folder / "second.mar")
    nodule_archive(folder, weights)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[Server]:
    """Without token authorisation."""
    with torchserve(tmp_path_factory.mktemp("ts") / "open", store, "--disable-token-auth") as running:
        yield running


@pytest.fixture(scope="module")
def registered(server: Server) -> Server:
    done = server.management.post(
        "/models", params={"url": "nodule.mar", "initial_workers": 0, "synchronous": "true"}
    )
    assert done.status_code == 200, done.text
    done = server.management.put("/models/nodule", params={"min_worker": 1, "synchronous": "true"})
    assert done.status_code == 200, done.text + server.log()[-3000:]
    return server


def workers(server: Server, version: str = "") -> list[str]:
    (model,) = server.management.get(f"/models/nodule{version}").json()
    return [one["status"] for one in model["workers"]]


def send(server: Server, body: bytes, version: str = "", **headers: str) -> httpx.Response:
    return server.inference.put(f"/predictions/nodule{version}", content=body, headers=headers)


def test_a_study_gets_the_findings_of_python(registered: Server, weights: Path, tmp_path: Path) -> None:
    uid = good_ct(tmp_path)
    answer = send(registered, zipped_folder(tmp_path))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    (series,) = answer.json()["series"]
    assert (series["series"], series["status"]) == (uid, "accepted")

    own = detector(weights)
    (result,) = infer(tmp_path, own)
    assert result.volume is not None
    wanted = report(result.volume, result.candidates, reported(result.volume, result.findings), own)
    got = series["report"]
    assert got["number_of_candidates"] == wanted["number_of_candidates"]
    assert len(got["findings"]) == len(wanted["findings"]) > 5
    for one, same in zip(got["findings"], wanted["findings"], strict=True):
        assert one["sop_instance_uid"] == same["sop_instance_uid"]
        assert one["probability"] == pytest.approx(same["probability"], abs=1e-4)
        assert one["centre_mm"] == pytest.approx(same["centre_mm"], abs=2e-3)
    assert got["model"] == {"name": "compact", "version": "0.0.1+torchscript", "threshold": 0.05}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"DICM", 400, "study_not_zip"), (b"PK\x03\x04", 400, "study_damaged"), (b"", 400, "study_empty")],
)
def test_a_body_that_is_no_study_gets_its_reason(
    registered: Server, body: bytes, status: int, code: str
) -> None:
    answer = send(registered, body)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(("make", "reason"), [(localiser, "localiser"), (missing, "missing_slices")])
def test_a_study_that_is_refused_gets_its_reason(
    registered: Server, tmp_path: Path, make: Callable[[Path], str], reason: str
) -> None:
    make(tmp_path)
    answer = send(registered, zipped_folder(tmp_path))
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "study_not_searched"
    assert [one["reason"] for one in answer.json()["series"]] == [reason]
    assert "Traceback" not in answer.text + registered.log()


def test_versions_are_served_side_by_side_and_scaled(registered: Server, tmp_path: Path) -> None:
    good_ct(tmp_path)
    body = zipped_folder(tmp_path)
    management = registered.management
    (model,) = management.get("/models/nodule").json()
    assert model["modelVersion"] == "0.0.1"
    # from the archive's configuration
    assert (model["responseTimeout"], model["deviceType"]) == (600, "cpu")
    assert workers(registered) == ["READY"]

    done = management.post(
        "/models", params={"url": "second.mar", "initial_workers": 1, "synchronous": "true"}
    )
    assert done.status_code == 200, done.text
    versions = management.get("/models/nodule/all").json()
    assert {one["modelVersion"] for one in versions} == {"0.0.1", "2.0"}
    assert default(registered) == "0.0.1"
    assert send(registered, body, "/2.0").json() == send(registered, body).json()

    assert management.put("/models/nodule/2.0/set-default").status_code == 200
    assert default(registered) == "2.0"
    assert management.delete("/models/nodule/0.0.1").status_code == 200
    assert [one["modelVersion"] for one in management.get("/models/nodule/all").json()] == ["2.0"]
    assert send(registered, b"", "/0.0.1").status_code == 404
    assert send(registered, body).status_code == 200

    scaled = {"min_worker": 0, "max_worker": 0, "synchronous": "true"}
    assert management.put("/models/nodule/2.0", params=scaled).status_code == 200
    until(lambda: workers(registered) == [], 30, registered)
    assert send(registered, body).status_code == 503
    management.put("/models/nodule/2.0", params={"min_worker": 1, "max_worker": 1, "synchronous": "true"})
    until(lambda: workers(registered) == ["READY"], 60, registered)
    assert send(registered, body).status_code == 200


def default(server: Server) -> str:
    (model,) = server.management.get("/models/nodule").json()
    return str(model["modelVersion"])


def test_with_token_authorisation_only_the_right_key_is_served(
    tmp_path_factory: pytest.TempPathFactory, store: Path, tmp_path: Path
) -> None:
    good_ct(tmp_path)
    body = zipped_folder(tmp_path)
    with torchserve(tmp_path_factory.mktemp("ts") / "closed", store) as closed:
        keys = closed.keys()
        assert keys.keys() == {"management", "inference", "API"}
        register = {"url": "nodule.mar", "initial_workers": 1, "synchronous": "true"}
        for key in (None, "wrong", keys["inference"]):
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            refused = closed.management.post("/models", params=register, headers=headers)
            assert (refused.status_code, refused.json()["type"]) == (400, "InvalidKeyException")
        right = {"Authorization": f"Bearer {keys['management']}"}
        assert closed.management.get("/models", headers=right).json() == {"models": []}
        assert closed.management.post("/models", params=register, headers=right).status_code == 200
        for key in ("wrong", keys["management"]):
            assert send(closed, body, Authorization=f"Bearer {key}").status_code == 400
        assert send(closed, body).status_code == 400
        answer = send(closed, body, Authorization=f"Bearer {keys['inference']}")
        assert answer.status_code == 200
        assert answer.json()["series"][0]["report"]["number_of_findings"] > 5
