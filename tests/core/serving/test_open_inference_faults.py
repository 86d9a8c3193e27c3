"""The server when processes die, models hang, clients misbehave and the end comes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from core.serving.config import ServingConfig
from core.serving.served_model import ServedModel
from tests.core.serving.exports import BLUR, SPIN, blur_request, folder, infer, service, spin_request, spun
from tests.core.serving.service import DEADLINE_S, ROOT, answer_of, one_answer, open_socket, until

pytestmark = pytest.mark.slow
HANG = spin_request(1.0)
RUNNING, WAITING = (f'model_requests_{state}{{model="{SPIN}"}}' for state in ("running", "waiting"))
Served = tuple[httpx.Client, dict[str, ServedModel]]


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    """A server that the tests leave as they found it: nothing waits, and every process runs or is started again."""
    limits = ServingConfig(body_s=0.5)
    with service(only=[SPIN, BLUR], waiting=2, timeout=1.5, serve=limits) as served:
        yield served


def test_a_killed_process_is_reported_within_a_second_and_replaced(shared: Served) -> None:
    to, models = shared
    (pid,) = models[SPIN].pool.pids
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: to.get("/v2/health/ready").status_code == 503) < 1
    answer = to.get("/health/ready")
    assert answer.status_code == 503
    sentence = f"not ready: {SPIN}: the process of the model ended and is started again"
    assert answer.json()["error"] == sentence
    assert to.get(f"/v2/models/{SPIN}/ready").status_code == 503
    assert to.get(f"/v2/models/{BLUR}/ready").status_code == 200
    assert to.get("/v2/health/live").status_code == 200
    states = {one["name"]: one["state"] for one in to.post("/v2/repository/index").json()}
    assert states[SPIN] == "UNAVAILABLE"
    # a request of this time waits for the new process
    assert spun(infer(to, SPIN, spin_request(0.5))) == [0.5]
    assert to.get("/v2/health/ready").status_code == 200


def test_a_request_that_hangs_the_model_is_answered_and_the_next_too(shared: Served) -> None:
    to, _ = shared
    with ThreadPoolExecutor(2) as pool:
        hung = pool.submit(infer, to, SPIN, HANG)
        until(lambda: f"{RUNNING} 1.0" in to.get("/metrics").text)
        other = pool.submit(infer, to, SPIN, spin_request(0.2))
        assert spun(other.result()) == [0.2]
        answer = hung.result()
        assert (answer.status_code, answer.json()["code"]) == (504, "model_timeout")
        assert answer.json()["error"] == "the model did not answer within 1.5 s, and its process was ended"


def test_what_cannot_wait_any_more_is_told_to_come_again(shared: Served) -> None:
    to, _ = shared
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(infer, to, SPIN, HANG)]
        until(lambda: f"{RUNNING} 1.0" in to.get("/metrics").text)
        asked += [pool.submit(infer, to, SPIN, spin_request(0.1)) for _ in range(2)]
        until(lambda: f"{WAITING} 2.0" in to.get("/metrics").text)
        answer = infer(to, SPIN, spin_request(0.1))
        assert (answer.status_code, answer.json()["code"]) == (429, "model_busy")
        assert answer.headers["retry-after"] == "1"
        assert infer(to, BLUR, blur_request(0.1)).status_code == 200
        assert [one.result().status_code for one in asked] == [504, 200, 200]


def test_a_client_that_leaves_makes_room_and_harms_nobody(shared: Served) -> None:
    to, _ = shared
    body = json.dumps(HANG).encode()
    path = f"/v2/models/{SPIN}/infer"
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    with open_socket(to) as running, open_socket(to) as leaving:
        running.sendall(head.encode() + body)
        until(lambda: f"{RUNNING} 1.0" in to.get("/metrics").text)
        leaving.sendall(head.encode() + body)
        until(lambda: f"{WAITING} 1.0" in to.get("/metrics").text)
        leaving.close()
        until(lambda: f"{WAITING} 0.0" in to.get("/metrics").text)
        assert spun(infer(to, SPIN, spin_request(0.5))) == [0.5]
        assert answer_of(one_answer(running))[0] == 504


def test_a_slow_body_is_given_up_while_others_are_answered(shared: Served) -> None:
    to, _ = shared
    with open_socket(to) as slow:
        path = f"/v2/models/{BLUR}/infer"
        slow.sendall(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert infer(to, BLUR, blur_request(0.1)).status_code == 200
        status, content = answer_of(one_answer(slow))
        assert (status, content["code"]) == (408, "body_too_slow")


def test_kills_under_load_cost_no_answer_and_falsify_none() -> None:
    """The short twin of `python -m benchmarks.serving kills`."""
    with service(only=[SPIN], waiting=500) as (to, models):
        statuses: Counter[int] = Counter()
        enough = threading.Event()
        pool = models[SPIN].pool

        def ask(seed: int) -> None:
            draw = random.Random(seed)
            while not enough.is_set():
                rows = [round(draw.uniform(-0.8, 0.8), 4) for _ in range(draw.randint(1, 4))]
                answer = infer(to, SPIN, spin_request(*rows))
                statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    assert spun(answer) == rows
                else:
                    assert answer.json()["code"] in ("model_ended_twice", "model_restarting")

        with ThreadPoolExecutor(8) as clients:
            asking = [clients.submit(ask, seed) for seed in range(8)]
            for restarts in (1, 2):
                time.sleep(0.5)
                os.kill(pool.pids[0], signal.SIGKILL)
                until(lambda restarts=restarts: pool.restarts == restarts)  # type: ignore[misc]
            time.sleep(0.5)
            enough.set()
            for one in asking:
                one.result()
        assert statuses[200] > 50
        assert statuses[200] / statuses.total() > 0.95


COMMAND = [sys.executable, "-m", "pipelines.models", "port=0", "threads=1"]


class Running:
    """The command as a process of its own."""

    def __init__(self, tmp_path: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, f"artifacts={folder('spin')}", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:"), self.process.communicate()
        self.to = httpx.Client(base_url=line.split()[2].rstrip(";"), timeout=DEADLINE_S)

    def children(self) -> list[int]:
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.to.close()
        self.process.kill()
        self.process.communicate()


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("to_all", [False, True], ids=["service", "group"])
def test_requests_under_way_are_answered_before_the_end(tmp_path: Path, to_all: bool) -> None:
    # spins until its process is ended; a second try gives the time-out its turn
    with Running(tmp_path, "timeout=2.0") as running, ThreadPoolExecutor(1) as pool:
        children = running.children()
        assert len(children) == 1
        asked = pool.submit(infer, running.to, SPIN, HANG)
        time.sleep(0.5)
        for pid in [running.process.pid, *(children if to_all else [])]:
            os.kill(pid, signal.SIGTERM)
        until(lambda: _refuses(running.to))
        assert asked.result().status_code == 504
        assert running.process.wait(10) == 0
        assert until(lambda: all(map(_is_gone, children))) < 1
        assert running.process.communicate() == ("", "")


def _refuses(to: httpx.Client) -> bool:
    try:
        open_socket(to).close()
    except ConnectionRefusedError:
        return True
    return False


def test_no_process_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    with Running(tmp_path) as running:
        children = running.children()
        threading.Thread(target=lambda: _ignored(running.to), daemon=True).start()
        time.sleep(0.3)
        running.process.kill()
        running.process.wait()
        assert until(lambda: all(map(_is_gone, children))) < 1
        assert len(children) == 1


def _ignored(to: httpx.Client) -> None:
    try:
        infer(to, SPIN, HANG)
    except httpx.HTTPError:
        pass


def _is_model(pid: str) -> bool:
    try:
        return b"model_child" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_a_server_told_to_end_while_it_loads_ends(tmp_path: Path) -> None:
    starting = subprocess.Popen(
        [*COMMAND, f"artifacts={folder('spin')}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    path = Path(f"/proc/{starting.pid}/task/{starting.pid}/children")
    # not that of `git`, which the record of the run asks for the commit
    until(lambda: any(map(_is_model, path.read_text().split())))
    children = [int(pid) for pid in path.read_text().split() if _is_model(pid)]
    starting.terminate()
    assert starting.wait(10) == 0
    assert all(map(_is_gone, children))
    assert starting.communicate() == ("", "")
