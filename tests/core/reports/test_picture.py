from __future__ import annotations

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from core.reports.picture import Spot, drawn_over, png

GREY = (np.arange(600) % 251).astype(np.uint8).reshape(20, 30)


def test_png_is_lossless_and_the_same_twice() -> None:
    assert png(GREY) == png(GREY.copy())
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(GREY)))), GREY)


def test_svg_holds_the_picture_and_what_is_drawn_over_it() -> None:
    ring = np.array([[1.0, 1.0], [5.0, 1.0], [5.0, 4.0], [1.0, 1.0]])
    svg = drawn_over(GREY, "a & b", [ring, ring[:3]], [Spot(3, 4, "7", "seven")], "RLAP", (10.0, "10 mm"))
    tree = ElementTree.fromstring(svg)
    assert tree.attrib["viewBox"] == "0 0 30 20"
    assert tree.attrib["aria-label"] == "a & b"
    match = re.search(r"base64,([^\"]+)", svg)
    assert match is not None
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(match[1])))), GREY)
    paths = [item.attrib["d"] for item in tree.iter("path")]
    assert paths[0] == "M1.5 1.5L5.5 1.5L5.5 4.5L1.5 1.5Z"
    assert not paths[1].endswith("Z")
    assert [item.text for item in tree.iter("text")] == ["R", "L", "A", "P", "10 mm", "7"]
    assert [item.attrib["href"] for item in tree.iter("a")] == ["#seven"]


def test_a_number_at_the_right_edge_stays_inside() -> None:
    tree = ElementTree.fromstring(
        drawn_over(GREY, "x", spots=[Spot(29, 10, "1", "a"), Spot(2, 10, "2", "b")])
    )
    positions = [float(item.attrib["x"]) for item in tree.iter("text")]
    assert len(positions) == 2
    assert all(0 < position < 30 for position in positions)
