"""The web page in a real browser: drawn, cancelled, painted, replayed, and what it says when things go wrong."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image

from apps.imagegen.report.recipe_png import recipe_of
from tests.apps.imagegen.served import Service, drawn, service, until
from tests.e2e.chromium import CHROMIUM, Page, chromium

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium (Debian package chromium) is not installed"),
]

ENTER, ESCAPE, TAB = ("Enter", 13), ("Escape", 27), ("Tab", 9)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("page"), waiting=2, rows=4) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def page(browser: Page, running: Service) -> Page:
    """The page, fresh, with an empty gallery; nothing it logged before counts."""
    browser.size(1280, 900)
    browser.media(prefers_color_scheme="light")
    browser.open(running.url + "/icon.svg")
    browser.run("indexedDB.deleteDatabase('triptych-pictures'); sessionStorage.clear(); localStorage.clear()")
    browser.open(running.url + "/")
    browser.until("!document.getElementById('draw').disabled")
    browser.complaints.clear()
    return browser


def text(page: Page, name: str) -> str:
    return str(page.run(f"document.getElementById({json.dumps(name)}).textContent"))


def ask(page: Page, prompt: str, **fields: object) -> None:
    """Fill the form by name and draw by the keyboard."""
    for name, value in {"prompt": prompt, "steps": 4, **fields}.items():
        page.run(f"document.getElementById('{name}').value = {json.dumps(str(value))}")
    page.run("document.getElementById('prompt').focus()")
    page.press(ENTER[0], ctrl=True, code=ENTER[1])


def finished(page: Page) -> None:
    page.until("document.getElementById('said').textContent.includes('rawn in')")


def pictures(page: Page) -> int:
    return int(page.run("document.querySelectorAll('#pictures li').length"))


def newest(page: Page) -> bytes:
    """Return the bytes of the newest picture of the gallery, from the browser's own store."""
    numbers = page.run(
        "(async () => { const { GalleryStore } = await import('/gallery_store.js');"
        " const store = await new GalleryStore().open();"
        "return [...new Uint8Array(await store.all()[0].blob.arrayBuffer())]; })()"
    )
    return bytes(numbers)


def picture_file(folder: Path) -> Path:
    path = folder / "red.png"
    Image.fromarray(np.full((64, 64, 3), (200, 30, 30), np.uint8)).save(path)
    return path


def test_a_picture_is_drawn_by_keyboard_alone_and_appears_while_it_is_drawn(
    page: Page, running: Service
) -> None:
    page.run("document.activeElement.blur()")
    for _ in range(20):
        page.press(*TAB[:1], code=TAB[1])
        if page.run("document.activeElement.id") == "prompt":
            break
    page.run("document.getElementById('steps').value = 60")
    page.type("red apple")
    page.press(ENTER[0], ctrl=True, code=ENTER[1])
    page.until("document.querySelector('.tile[data-state=drawing] img')")
    assert page.run("document.querySelector('.tile img').alt") == "red apple, unfinished"
    assert page.run("document.getElementById('progress').value") > 0
    assert page.run("document.getElementById('cancel').hidden") is False
    finished(page)
    recipe = recipe_of(newest(page))
    assert (recipe.prompt, recipe.steps, recipe.model) == (
        "red apple",
        60,
        running.generation.pipeline.digest,
    )
    assert page.run("document.getElementById('progress').hidden") is True
    assert pictures(page) == 1
    assert page.complaints == []
    host = urlsplit(running.url).netloc
    elsewhere = {url for url in page.requested if urlsplit(url).netloc not in (host, "")}
    assert elsewhere - {"about:blank"} == set()


def test_escape_cancels(page: Page, running: Service) -> None:
    ask(page, "slow", steps=100, count=2, size="48x48")
    page.until("document.querySelector('.tile[data-state=drawing]')")
    page.press(ESCAPE[0], code=ESCAPE[1])
    page.until("document.getElementById('said').textContent === 'Cancelled.'")
    assert page.run("document.querySelectorAll('.tile[data-state=cancelled]').length") == 2
    assert pictures(page) == 0
    until(lambda: running.busy() + running.generation.under_way() == 0, 40)  # 20 s for a reload
    assert page.run("document.getElementById('draw').disabled") is False


def test_the_work_of_a_closed_page_ends_when_nobody_comes_back(page: Page, running: Service) -> None:
    ask(page, "slow", steps=100, size="48x48")
    page.until("document.querySelector('.tile[data-state=drawing]')")
    page.open(running.url + "/icon.svg")
    until(lambda: running.busy() + running.generation.under_way() == 0, 40)  # 20 s for a reload


def test_a_replay_tells_that_the_bytes_are_the_same_and_the_gallery_stays(
    page: Page, running: Service
) -> None:
    ask(page, "heart", count=2, seed="41", scheduler="ddpm")
    finished(page)
    assert pictures(page) == 2
    page.open(running.url + "/")
    page.until("document.querySelectorAll('#pictures li').length === 2")
    page.run("document.querySelector('#pictures button').click()")
    assert page.run("document.activeElement.id") == "replay"
    assert "42" in text(page, "recipe")
    page.press(ENTER[0], code=ENTER[1], text="\r")
    page.until("!document.getElementById('same').hidden")
    assert text(page, "same") == "✓ the same bytes again"
    assert recipe_of(newest(page)).seed == 42
    page.run("document.getElementById('reuse').click()")
    assert page.run("document.getElementById('seed').value") == "42"
    assert page.run("document.getElementById('scheduler').value") == "ddpm"
    page.run("document.querySelector('#pictures button').click(); document.getElementById('delete').click()")
    page.until("document.querySelectorAll('#pictures li').length === 1")
    assert page.complaints == []


def test_a_picture_is_painted_over_where_the_brush_was(page: Page, tmp_path: Path) -> None:
    page.choose("#file", picture_file(tmp_path))
    page.until("!document.getElementById('working').hidden")
    page.run("document.getElementById('brush').value = 40; document.getElementById('mask').scrollIntoView()")
    left, top, width, height = page.run(
        "(box => [box.left, box.top, box.width, box.height])(document.getElementById('mask').getBoundingClientRect())"
    )
    page.drag(*[(left + width * 0.1, top + height * share) for share in (0.02, 0.5, 0.98)])
    assert text(page, "working").count("100 %") == 1
    ask(page, "cat")
    finished(page)
    data = newest(page)
    seen = np.asarray(Image.open(io.BytesIO(data)))
    assert recipe_of(data).mask_sha256 is not None
    assert (seen[:, 20:] == (200, 30, 30)).all()
    assert not (seen[:, :4] == (200, 30, 30)).all()
    page.run("document.querySelector('#pictures button').click(); document.getElementById('replay').click()")
    page.until("!document.getElementById('same').hidden")
    assert text(page, "same") == "✓ the same bytes again"
    assert page.complaints == []


def test_a_picture_is_painted_over_by_keyboard(page: Page, tmp_path: Path) -> None:
    page.choose("#file", picture_file(tmp_path))
    page.until("!document.getElementById('working').hidden")
    page.run("document.getElementById('brush').value = 40; document.getElementById('remove').focus()")
    for _ in range(
        4
    ):  # past the brush, the shape and how much may change: with nothing painted, nothing can be cleared
        page.press(*TAB[:1], code=TAB[1], shift=True)
    assert page.run("document.activeElement.id") == "mask"
    for _ in range(40):
        page.press("ArrowLeft", code=37)
    for _ in range(40):
        page.press("ArrowUp", code=38)
    assert page.run("document.getElementById('wipe').disabled"), "moving alone paints nothing"
    for _ in range(80):
        page.press("ArrowDown", code=40, shift=True)
    ask(page, "cat")
    finished(page)
    seen = np.asarray(Image.open(io.BytesIO(newest(page))))
    assert (seen[:, 20:] == (200, 30, 30)).all()
    assert not (seen[:, :4] == (200, 30, 30)).all()
    assert page.complaints == []


def test_a_picture_that_was_drawn_here_brings_its_recipe(
    page: Page, running: Service, tmp_path: Path
) -> None:
    events = drawn(
        running.url, json={"prompt": "moon & <b>stars</b>", "steps": 3, "seed": 2**62, "guidance": 2.5}
    )
    data = base64.b64decode(next(content["png"] for name, content in events if name == "done"))
    (tmp_path / "moon.png").write_bytes(data)
    page.choose("#file", tmp_path / "moon.png")
    page.until("!document.getElementById('brought').hidden")
    page.run("document.getElementById('take').click()")
    assert page.run("document.getElementById('prompt').value") == "moon & <b>stars</b>"
    assert page.run("document.getElementById('seed').value") == str(2**62)
    page.run("document.getElementById('again').click()")
    finished(page)
    assert newest(page) == data
    page.run("document.querySelector('button.tile').click()")
    assert page.run("document.getElementById('sheet-title').textContent") == "moon & <b>stars</b>"


@pytest.mark.parametrize(
    ("prompt", "fields", "sentence"),
    [
        ("  ", {}, "Say what to draw: the prompt is empty."),
        (
            "a\ufffe\u0001",
            {},
            "The prompt has U+0001 at position 3, a character that is not text: leave it out.",
        ),
        (
            "cat",
            {"seed": "9223372036854775808"},
            "Seed is 9223372036854775808; a whole number of 0 to 2^63 - 1 is wanted.",
        ),
    ],
)
def test_what_went_wrong_is_one_sentence(
    page: Page, prompt: str, fields: dict[str, object], sentence: str
) -> None:
    ask(page, prompt, **fields)
    page.until("!document.getElementById('trouble').hidden")
    assert text(page, "trouble") == sentence
    ask(page, "cat", seed="1")
    finished(page)
    assert page.run("document.getElementById('trouble').hidden") is True


def test_a_full_queue_says_when_to_come_back(page: Page, running: Service) -> None:
    slow = {"prompt": "slow", "steps": 100, "size": "48x48", "n": 2}
    with httpx.stream("POST", f"{running.url}/api/generate", json=slow, timeout=60):
        until(lambda: running.generation.busy() == (2, 0), 5)
        with httpx.stream("POST", f"{running.url}/api/generate", json=slow, timeout=60):
            until(lambda: running.generation.busy()[1] == 2, 5)
            ask(page, "cat")
            page.until("!document.getElementById('trouble').hidden")
    assert text(page, "trouble").startswith("2 pictures wait already: try again in ")


def test_a_service_that_is_away_is_reported_and_found_again(page: Page) -> None:
    page.offline(True)
    ask(page, "cat")
    page.until("!document.getElementById('trouble').hidden")
    assert text(page, "trouble") == "The service cannot be reached. Is it still running?"
    page.until("document.getElementById('state').dataset.tone === 'warn'")
    page.offline(False)
    page.until("document.getElementById('state').dataset.tone === 'good'")
    assert page.run("document.getElementById('trouble').hidden") is True


def test_colours_follow_the_system_until_one_is_chosen(page: Page, running: Service) -> None:
    def paper() -> str:
        return str(page.run("getComputedStyle(document.body).backgroundColor"))

    light = paper()
    page.media(prefers_color_scheme="dark")
    dark = paper()
    assert light != dark
    page.run("document.getElementById('theme').click()")
    assert paper() == light
    page.open(running.url + "/")
    assert paper() == light
    page.run("document.getElementById('theme').click()")
    page.media(prefers_color_scheme="light")
    assert paper() == dark


@pytest.mark.parametrize(("width", "height"), [(320, 640), (390, 844), (768, 1024), (1280, 900)])
def test_nothing_sticks_out_at_any_width(page: Page, width: int, height: int) -> None:
    page.size(width, height, mobile=width < 700)
    page.run("document.getElementById('options').open = true")
    assert page.run("document.documentElement.scrollWidth") <= width


def test_everything_that_can_be_used_has_a_name(page: Page) -> None:
    page.run("document.getElementById('options').open = true")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    usable = [
        node
        for node in nodes
        if not node.get("ignored")
        and node["role"]["value"]
        in ("button", "textbox", "combobox", "slider", "spinbutton", "link", "img", "DisclosureTriangle")
    ]
    assert len(usable) >= 20
    assert [node["role"]["value"] for node in usable if not node.get("name", {}).get("value")] == []


def reload(page: Page) -> None:
    page.run("window.before = true; location.reload()")
    page.until("window.before === undefined && document.readyState === 'complete'")


def test_a_reload_takes_the_drawing_up_again(running: Service, page: Page) -> None:
    ask(page, "red apple", steps=100, size="48x48", seed=5)
    page.until("document.querySelector('#tiles .tile[data-state=drawing]') !== null")
    reload(page)
    page.until("document.querySelectorAll('#pictures li').length === 1")
    assert "rawn in" in text(page, "said")
    picture = newest(page)
    assert (recipe_of(picture).seed, recipe_of(picture).width) == (5, 48)
    reload(page)
    page.until(
        "document.getElementById('draw')?.disabled === false && document.querySelector('#pictures li') !== null"
    )
    assert (text(page, "said"), pictures(page)) == ("", 1), "it is taken up once"
    assert running.busy() == 0
    assert page.complaints == []


def test_how_much_of_a_prompt_is_used_stands_on_the_page(page: Page) -> None:
    ask(page, "cat " * 300)
    finished(page)
    assert text(page, "notes").startswith("The first 224 of 300 tokens of the prompt are used")
    ask(page, "cat")
    page.until(
        "document.getElementById('notes').hidden && document.querySelectorAll('#pictures li').length === 2"
    )


def test_the_gallery_keeps_pictures_up_to_its_limit_and_counts_those_it_deletes(
    running: Service, page: Page
) -> None:
    kept = page.run(
        "(async () => { const { GalleryStore } = await import('/gallery_store.js');"
        " const store = await new GalleryStore(1_000_000).open();"
        "for (let i = 0; i < 5; i += 1) await store.add({ blob: new Blob([new Uint8Array(300_000)]), recipe: {} });"
        "const ids = store.all().map((each) => each.id); await store.clear();"
        "return [store.most, ids.length, store.dropped, store.unwritten]; })()"
    )
    assert kept == [1_000_000, 3, 2, 0]
    assert "Pictures stay in this browser" in text(page, "none")
