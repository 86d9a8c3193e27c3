"""Requests with an Idempotency-Key over HTTP: one answer for one key. Crashes: tests/benchmarks/jobs."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from threading import Thread
from typing import Any

import httpx
import pytest

from apps.imagegen.service.kept_routes import key_of
from core.serving.service_error import ServiceError
from tests.apps.imagegen.served import Service, drawn, service, until

QUICK: dict[str, Any] = {"prompt": "red apple", "steps": 4}
LONG: dict[str, Any] = {"prompt": "a cat", "steps": 900, "n": 4, "seed": 1, "scheduler": "ddpm"}
ASYNC = {"Prefer": "respond-async"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("kept")
    with service(folder, kept=str(folder / "answers")) as serving:
        yield serving


def post(
    running: Service, key: str, body: dict[str, Any], path: str = "generations", **headers: str
) -> httpx.Response:
    url = f"{running.url}/v1/images/{path}"
    return httpx.post(url, json=body, headers={"Idempotency-Key": key, **headers}, timeout=60)


def get(running: Service, path: str) -> httpx.Response:
    return httpx.get(running.url + path, timeout=60)


def ended(running: Service, path: str) -> dict[str, Any]:
    until(lambda: get(running, path).json()["status"] not in ("waiting", "running"), 60)
    state: dict[str, Any] = get(running, path).json()
    return state


def code_of(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error"]["code"]


def test_one_key_is_one_answer_with_the_bytes_of_its_recipe(running: Service) -> None:
    first = post(running, "one", QUICK)
    assert first.status_code == 200, first.text
    again = post(running, '"one"', dict(reversed(QUICK.items())))
    assert (again.status_code, again.content) == (200, first.content)
    reply = first.json()
    assert code_of(post(running, "one", {**QUICK, "prompt": "a car"})) == (422, "idempotency_key_reused")
    png = base64.b64decode(reply["data"][0]["b64_json"])
    events = drawn(running.url, json={**QUICK, "seed": reply["seed"]})
    (own,) = (data["png"] for name, data in events if name == "done")
    assert png == base64.b64decode(own)
    assert post(running, "other", QUICK).json()["seed"] != reply["seed"], "another key, another random seed"
    state = get(running, first.headers["location"]).json()
    assert (state["status"], state["progress"]) == ("done", {"done": 1, "total": 1})
    assert get(running, state["result"]).content == first.content


def test_who_sends_other_credentials_has_keys_of_his_own(running: Service) -> None:
    mine = post(running, "same", QUICK, Authorization="Bearer mine")
    other = post(running, "same", {**QUICK, "prompt": "a car"}, Authorization="Bearer other")
    assert (mine.status_code, other.status_code) == (200, 200)
    assert mine.headers["location"] != other.headers["location"]


def test_a_request_may_be_accepted_first_and_fetched_later(running: Service) -> None:
    accepted = post(running, "later", {**QUICK, "n": 2, "seed": 7}, **ASYNC)
    assert (accepted.status_code, accepted.headers["preference-applied"]) == (202, "respond-async")
    place = accepted.headers["location"]
    assert accepted.json()["id"] == place.rpartition("/")[2]
    assert post(running, "later", {**QUICK, "n": 2, "seed": 7}, **ASYNC).headers["location"] == place
    assert ended(running, place)["status"] == "done"
    reply = get(running, f"{place}/result").json()
    assert [one["recipe"]["seed"] for one in reply["data"]] == [7, 8]


def test_a_client_that_left_finds_its_answer_and_one_that_waits_is_alone(running: Service) -> None:
    body = {**QUICK, "steps": 100, "n": 4}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{running.url}/v1/images/generations",
            json=body,
            headers={"Idempotency-Key": "left"},
            timeout=0.3,
        )
    reply = post(running, "left", body)
    assert reply.status_code == 200
    assert len(reply.json()["data"]) == 4


def test_a_request_is_cancelled_and_its_slot_is_free(running: Service) -> None:
    place = post(running, "gone", LONG, **ASYNC).headers["location"]
    until(lambda: running.busy() > 0, 30)
    assert code_of(get(running, f"{place}/result"))[1] == "kept_not_done"
    assert httpx.delete(running.url + place).status_code == 204
    assert get(running, place).json()["status"] == "cancelled"
    until(lambda: running.busy() == 0, 30)
    assert code_of(post(running, "gone", LONG)) == (409, "kept_cancelled")
    assert httpx.delete(running.url + place).json()["error"]["code"] == "kept_ended"


def test_two_clients_with_one_key_are_not_both_served(running: Service) -> None:
    place = post(running, "twice", LONG, **ASYNC).headers["location"]
    replies: list[tuple[int, str]] = []
    threads = [Thread(target=lambda: replies.append(code_of(post(running, "twice", LONG)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: len(replies) == 1, 30)
    assert replies == [(409, "idempotency_key_in_use")]
    httpx.delete(running.url + place)
    for thread in threads:
        thread.join(30)
    assert replies[1] == (409, "kept_cancelled")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**QUICK, "stream": True}, "idempotency_key_stream"),
        ({**QUICK, "size": "1x1"}, "size_unknown"),
        ({**QUICK, "adapter": "none"}, "adapter_unknown"),
        ({**QUICK, "n": 99}, "count_range"),
        ({"prompt": 1}, "field_type"),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_its_key_is_free(
    running: Service, body: dict[str, Any], code: str
) -> None:
    assert code_of(post(running, f"refused-{code}", body)) == (400, code)
    assert post(running, f"refused-{code}", QUICK).status_code == 200


def test_what_is_not_there_is_not_found(running: Service) -> None:
    for name in ("0" * 32, "0123", "x", "%25"):
        assert code_of(get(running, f"/v1/images/jobs/{name}")) == (404, "kept_unknown")
    place = post(running, "half", QUICK).headers["location"]
    assert code_of(get(running, place[:-20])) == (404, "kept_unknown"), "only the whole id opens an answer"


def test_an_edit_is_not_kept_and_says_so(running: Service) -> None:
    reply = httpx.post(
        f"{running.url}/v1/images/edits", files={"image": b"x"}, headers={"Idempotency-Key": "e"}
    )
    assert code_of(reply) == (400, "idempotency_key_unsupported")


@pytest.mark.parametrize(
    ("text", "key"),
    [("abc", "abc"), ('"abc"', "abc"), ('"a b"', "a b"), (r'"a\"b\\"', 'a"b\\'), ("x" * 255, "x" * 255)],
)
def test_keys_are_read_with_quotation_marks_and_without(text: str, key: str) -> None:
    assert key_of({"idempotency-key": text}) == key


@pytest.mark.parametrize("text", ["", '""', "a b", "x" * 256, '"a', "é", '"a"b"'])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ServiceError, match="must have 1 to 255 visible ASCII characters"):
        key_of({"idempotency-key": text})
