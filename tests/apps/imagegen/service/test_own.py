"""The own API: progress, cancelling, replay."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.report.recipe_png import pixels_of, png_bytes, recipe_of
from tests.apps.imagegen.models import lora
from tests.apps.imagegen.served import Service, drawn, parsed, service, until

QUICK = {"prompt": "red apple", "steps": 4, "seed": 5}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("own")) as serving:
        yield serving


def png_of(events: list[tuple[str, dict[str, object]]], image: int = 0) -> bytes:
    (result,) = (data["png"] for name, data in events if name == "done" and data["image"] == image)
    return base64.b64decode(str(result))


def red_png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), (200, 30, 30), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def white_left_mask() -> bytes:
    grey = np.zeros((32, 32), np.uint8)
    grey[:, :16] = 255
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "PNG")
    return stream.getvalue()


def test_events_tell_each_step_of_each_picture(running: Service) -> None:
    events = drawn(running.url, json={**QUICK, "steps": 10, "n": 2, "previews": 3})
    assert events[0][0] == "accepted"
    assert [one["seed"] for one in events[0][1]["recipes"]] == [5, 6]
    assert events[-1] == ("end", {"drawn": 2})
    for image in (0, 1):
        mine = [(name, data) for name, data in events if data.get("image") == image]
        assert [data["step"] for name, data in mine if name == "step"] == list(range(1, 11))
        previews = [data["step"] for name, data in mine if name == "preview"]
        assert len(previews) == 3
        assert previews[0] < 2.5
        assert mine[-1][0] == "done"
        done = mine[-1][1]
        data = base64.b64decode(done["png"])
        assert done["sha256"] == hashlib.sha256(data).hexdigest()
        assert Recipe.from_json(done["recipe"]) == recipe_of(data)
        assert done["seed"] == str(5 + image)


def test_a_form_draws_the_same_bytes_as_json(running: Service) -> None:
    parts = [(key, (None, str(value))) for key, value in QUICK.items()]
    assert png_of(drawn(running.url, files=parts)) == png_of(drawn(running.url, json=QUICK))


def test_a_replay_makes_the_same_bytes(running: Service) -> None:
    first = png_of(drawn(running.url, json={**QUICK, "scheduler": "ddpm", "guidance": 2.5, "size": "48x32"}))
    again = png_of(drawn(running.url, "/api/replay", files={"picture": first}))
    assert again == first


def test_a_replay_of_a_painted_picture_needs_picture_and_mask(running: Service) -> None:
    files = {"image": red_png(), "mask": white_left_mask()}
    first = png_of(drawn(running.url, data={"prompt": "cat", "steps": "4"}, files=files))
    seen = np.asarray(Image.open(io.BytesIO(first)))
    assert (seen[:, 16:] == (200, 30, 30)).all()
    assert png_of(drawn(running.url, "/api/replay", files={"picture": first, **files})) == first
    for sent, code in (
        ({}, "image_missing"),
        ({"image": red_png()}, "mask_missing"),
        ({"image": white_left_mask(), "mask": white_left_mask()}, "image_other"),
    ):
        reply = httpx.post(f"{running.url}/api/replay", files={"picture": first, **sent})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, code)


def test_a_replay_of_another_model_is_refused(running: Service) -> None:
    other = png_bytes(
        np.zeros((32, 32, 3), np.uint8), Recipe(prompt="cat", width=32, height=32, model="f" * 64)
    )
    reply = httpx.post(f"{running.url}/api/replay", files={"picture": other})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "model_other")


@pytest.mark.parametrize("path", ["/api/replay", "/api/recipe"])
def test_a_picture_without_a_recipe_says_so(running: Service, path: str) -> None:
    reply = httpx.post(running.url + path, files={"picture": red_png()})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "recipe_missing")
    reply = httpx.post(running.url + path, files={"other": red_png()})
    assert reply.status_code == 400


def test_the_recipe_of_a_picture_can_be_read(running: Service) -> None:
    recipe = Recipe(prompt="猫", seed=2**63 - 1, width=32, height=32)
    png = png_bytes(np.zeros((32, 32, 3), np.uint8), recipe)
    reply = httpx.post(f"{running.url}/api/recipe", files={"picture": png})
    assert reply.json() == {"recipe": recipe.as_json(), "seed": str(2**63 - 1)}


def test_a_drawing_is_cancelled_by_its_id(running: Service) -> None:
    with httpx.stream(
        "POST", f"{running.url}/api/generate", json={**QUICK, "steps": 100, "n": 3}, timeout=60
    ) as reply:
        events = parsed(reply.iter_lines())
        work = next(data["id"] for name, data in events if name == "accepted")
        next(data for name, data in events if name == "step")
        assert httpx.delete(f"{running.url}/api/work/{work}").status_code == 204
        rest = list(events)
    assert [name for name, _ in rest if name in ("done", "failed", "cancelled")] == ["cancelled"] * 3
    assert rest[-1] == ("end", {"drawn": 0})
    until(lambda: running.busy() == 0, 1.0)
    reply = httpx.delete(f"{running.url}/api/work/{work}")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "work_unknown")


def test_the_model_says_what_it_offers(running: Service) -> None:
    info = httpx.get(f"{running.url}/api/model").json()
    assert (info["name"], info["sizes"][0], info["adapters"]) == ("tiny", "32x32", [])
    assert info["digest"] == running.generation.pipeline.digest
    assert "ddim" in info["schedulers"]


def test_adapters_are_offered_by_name_and_those_that_cannot_be_used_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "adapters"
    folder.mkdir()
    (folder / "broken.safetensors").write_bytes(b"nothing")
    (folder / "pickled.pt").write_bytes(b"\x80\x04.")
    with service(tmp_path, adapter=folder) as running:
        assert httpx.get(f"{running.url}/api/model").json()["adapters"] == []
        for name, code in (
            ("broken", "adapter_not_safetensors"),
            ("pickled", "adapter_pickled"),
            ("nowhere", "adapter_unknown"),
            ("../adapters/broken", "adapter_unknown"),
            (str(folder / "broken.safetensors"), "adapter_unknown"),
            ("broken\x00", "adapter_unknown"),
        ):
            reply = httpx.post(f"{running.url}/api/generate", json={**QUICK, "adapter": name})
            error = reply.json()["error"]
            assert (reply.status_code, error["code"], error["param"]) == (400, code, "adapter")
        assert drawn(running.url, json=QUICK)[-1] == ("end", {"drawn": 1})


def test_an_adapter_works_by_its_name_in_both_apis_and_for_its_own_pictures_only(tmp_path: Path) -> None:
    (tmp_path / "adapters").mkdir()
    with service(tmp_path, adapter=tmp_path / "adapters") as running:
        lora.write(tmp_path / "adapters" / "warm.safetensors", running.generation.pipeline.unet, 0)
        (offered,) = httpx.get(f"{running.url}/api/model").json()["adapters"]
        assert offered["name"] == "warm"
        plain, warm = (
            png_of(drawn(running.url, json={**QUICK, **more})) for more in ({}, {"adapter": "warm"})
        )
        recipe = recipe_of(warm)
        assert (recipe.adapter, recipe.adapter_digest) == ("warm", offered["digest"])
        assert not np.array_equal(pixels_of(plain), pixels_of(warm))
        reply = httpx.post(
            f"{running.url}/v1/images/generations", json={**QUICK, "adapter": "warm"}, timeout=60
        )
        assert base64.b64decode(reply.json()["data"][0]["b64_json"]) == warm
        assert png_of(drawn(running.url, json=QUICK)) == plain, "nothing of it is left behind"


def test_a_drawing_that_is_kept_is_taken_up_again_where_it_stands(running: Service) -> None:
    request = {**QUICK, "steps": 60, "n": 2, "previews": 5, "keep": 30.0}
    with httpx.stream("POST", f"{running.url}/api/generate", json=request, timeout=60) as reply:
        lines = parsed(reply.iter_lines())
        accepted = next(lines)[1]
        begun = next(data["step"] for name, data in lines if name == "step")
    address = f"{running.url}/api/work/{accepted['id']}"
    with httpx.stream("GET", address, timeout=60) as reply:
        again = list(parsed(reply.iter_lines()))
    assert again[0] == ("accepted", accepted)
    assert again[-1] == ("end", {"drawn": 2})
    steps = [data["step"] for name, data in again if name == "step" and data["image"] == 0]
    assert steps == list(range(steps[0], 61))
    assert steps[0] >= begun
    whole = drawn(running.url, json={**request, "keep": 0.0})
    assert [png_of(again, image) for image in (0, 1)] == [png_of(whole, image) for image in (0, 1)]
    until(lambda: running.generation.under_way() == 0, 60)
    gone = httpx.get(address)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "work_unknown")


def test_a_drawing_is_given_up_when_nobody_comes_back(running: Service) -> None:
    request = {**QUICK, "steps": 1000, "n": 3, "keep": 0.2}
    with httpx.stream("POST", f"{running.url}/api/generate", json=request, timeout=60) as reply:
        next(parsed(reply.iter_lines()))
        assert running.generation.under_way() == 1
    until(lambda: (running.generation.under_way(), running.busy()) == (0, 0), 60)
