"""Small archives in the layout of the real packages, so that tests of the pictures need no network."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from apps.imagegen.data import pictures
from apps.imagegen.data.packages import Package

ENTRIES = [
    {"hexcode": "1F34E", "label": "red apple", "group": 4, "tags": ["fruit", "red", "ripe"]},
    {"hexcode": "1F699", "label": "sport utility vehicle", "group": 5, "tags": ["car", "vehicle"]},
    {"hexcode": "2600-FE0F", "label": "sun", "group": 5, "tags": ["bright", "rays"]},
    {"hexcode": "2764", "label": "red heart", "group": 0, "tags": ["love"]},
    {
        "hexcode": "1F44B",
        "label": "waving hand",
        "group": 1,
        "tags": ["hello"],
        "skins": [{"hexcode": "1F44B-1F3FF", "label": "waving hand: dark skin tone"}],
    },
    {"hexcode": "1F9D1-200D-2696-FE0F", "label": "judge", "group": 1, "tags": ["law"]},
    {"hexcode": "1F468-200D-2696-FE0F", "label": "man judge", "group": 1, "tags": ["law"]},
    {"hexcode": "1F1E9-1F1EA", "label": "flag: Germany", "group": 9, "tags": []},
    {"hexcode": "1F9FF", "label": "never drawn", "group": 7, "tags": []},
]
_COLOURS = {
    "1f34e": "#d22",
    "1f699": "#22d",
    "2600": "#fd2",
    "2764-fe0f": "#d24",
    "1f44b": "#fc4",
    "1f44b-1f3ff": "#642",
}


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return a gzipped tar with files below package/."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def drawn(colour: str, edge: int = 32) -> bytes:
    """Return a WebP of a disc on nothing."""
    image = Image.new("RGBA", (edge, edge))
    ImageDraw.Draw(image).ellipse((4, 4, edge - 4, edge - 4), fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def put(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Fill a cache with archives of a few pictures and their words, and let the set be made of them."""
    files = {
        f"assets/{code}.webp": drawn(_COLOURS.get(code, "#888"))
        for code in (
            *_COLOURS,
            "1f9d1-200d-2696",
            "1f468-200d-2696-fe0f",
            "1f1e9-1f1ea",
        )
    }
    made = {
        "FLUENT": archive(files),
        "WORDS": archive({"en/data.json": json.dumps(ENTRIES).encode(), "de/data.json": b"[]"}),
    }
    for name, data in made.items():
        digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
        package = Package(f"@made/{name.lower()}", "1.0.0", "MIT", digest)
        cache.mkdir(parents=True, exist_ok=True)
        (cache / package.archive).write_bytes(data)
        monkeypatch.setattr(pictures, name, package)
