from __future__ import annotations

import io

import numpy as np
from matplotlib import rcParams
from PIL import Image

from core.reports.plots import figure, to_png, to_svg


def drawn() -> tuple[str, bytes]:
    with figure(4, 3) as made:
        axes = made.subplots()
        axes.plot([0, 1, 2], [0, 1, 4], label="line")
        axes.set_title("Title")
        axes.legend()
        return to_svg(made, "a < b"), to_png(made, dpi=100)


def test_figures_are_the_same_bytes_twice() -> None:
    assert drawn() == drawn()


def test_svg_is_inline_and_described() -> None:
    svg, _ = drawn()
    assert svg.startswith('<svg role="img" aria-label="a &lt; b"')
    assert "<dc:date>" not in svg
    assert "<?xml" not in svg


def test_png_has_the_size_asked_for_and_white_paper() -> None:
    picture = Image.open(io.BytesIO(drawn()[1]))
    assert picture.size == (400, 300)
    assert np.asarray(picture.convert("RGB"))[2, 2].tolist() == [255, 255, 255]
    assert "Software" not in picture.info


def test_the_style_is_put_back() -> None:
    before = dict(rcParams)
    drawn()
    assert dict(rcParams) == before
