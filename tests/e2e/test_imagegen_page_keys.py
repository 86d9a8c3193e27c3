"""The web page of a service that asks for keys, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.serving.keys import new_key
from tests.apps.imagegen.served import service
from tests.e2e.chromium import CHROMIUM, Page, chromium

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium (Debian package chromium) is not installed"),
]
ENTER, ESCAPE = ("Enter", 13), ("Escape", 27)
ASKS = "document.getElementById('key-dialog')?.open"
READY = "document.getElementById('draw')?.disabled === false"


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> str:
    return new_key(tmp_path_factory.mktemp("keys") / "keys.json", "page", "use")


@pytest.fixture(scope="module")
def page(secret: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    path = tmp_path_factory.getbasetemp() / "keys0" / "keys.json"
    with (
        service(tmp_path_factory.mktemp("page"), keys=str(path)) as running,
        chromium(tmp_path_factory.mktemp("chromium")) as browser,
    ):
        browser.open(running.url + "/")
        yield browser


def give(page: Page, key: str) -> None:
    page.until(ASKS)
    page.run("document.getElementById('key').focus()")
    page.type(key)
    page.press(ENTER[0], code=ENTER[1], text="\r")


def reload(page: Page) -> None:
    page.run("window.before = true; location.reload()")
    page.until("window.before === undefined && document.readyState === 'complete'")


def test_the_page_asks_once_and_keeps_the_key_in_its_tab(page: Page, secret: str, tmp_path: Path) -> None:
    page.until(ASKS)
    page.until("document.getElementById('key-reason').textContent === 'Whoever runs it gives keys out.'")
    page.shot(tmp_path / "asked.png")
    give(page, "wrong")
    page.until("document.getElementById('key-reason').textContent === 'This key is not known here.'")
    assert page.run("document.getElementById('key').value") == ""
    give(page, secret)
    page.until(READY)
    assert page.run("[sessionStorage.getItem('key'), localStorage.getItem('key')]") == [secret, None]
    reload(page)
    page.until(READY)
    assert not page.run(ASKS)
    page.run("document.getElementById('prompt').value = 'cat'; document.getElementById('steps').value = 2")
    page.run("document.getElementById('prompt').focus()")
    page.press(ENTER[0], ctrl=True, code=ENTER[1])
    page.until("document.getElementById('said').textContent.includes('rawn in')")
    assert not [url for url in page.requested if secret in url], "it stands in no address"


def test_who_gives_no_key_is_not_asked_again_and_again(page: Page) -> None:
    page.run("sessionStorage.clear()")
    reload(page)
    page.until(ASKS)
    page.press(ESCAPE[0], code=ESCAPE[1])
    page.until("document.getElementById('state').textContent.includes('No key: reload this page')")
    assert page.run("document.getElementById('draw').disabled")
    assert not page.run(ASKS)
