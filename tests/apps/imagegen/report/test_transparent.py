"""White paper made transparent: around the drawing, not inside it, and without a light rim."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from apps.imagegen.report.transparent import on_transparent


def _apple(background: str = "white") -> np.ndarray:
    """A red disc with a white hole in it, smoothed as a photograph is."""
    canvas = Image.new("RGB", (512, 512), background)
    pen = ImageDraw.Draw(canvas)
    pen.ellipse((96, 96, 416, 416), fill=(200, 20, 20))
    pen.ellipse((224, 224, 288, 288), fill="white")
    return np.asarray(canvas.resize((128, 128), Image.Resampling.LANCZOS))


def test_paper_outside_is_clear_and_white_inside_is_not() -> None:
    rgb_HWC = _apple()
    result = on_transparent(rgb_HWC)
    assert result is not None
    assert (result.shape, result.dtype) == ((128, 128, 4), np.uint8)
    assert result[0, 0, 3] == result[127, 64, 3] == 0
    assert result[64, 64, 3] == result[40, 64, 3] == 255
    assert (result[64, 64, :3] == rgb_HWC[64, 64]).all()


def test_laid_on_white_again_it_is_the_picture_and_on_black_it_has_no_white_rim() -> None:
    rgb_HWC = _apple()
    result = on_transparent(rgb_HWC)
    assert result is not None
    clear = Image.fromarray(result)
    on_white = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    assert np.abs(np.asarray(on_white).astype(int) - rgb_HWC).max() <= 20
    on_black = Image.alpha_composite(Image.new("RGBA", clear.size, "black"), clear).convert("RGB")
    outside_HW = np.hypot(*(np.indices((128, 128)) - 63.5)) > 36
    assert np.asarray(on_black)[outside_HW].min(axis=1).max() < 60


def test_a_picture_that_is_not_drawn_on_white_stays_as_it_is() -> None:
    assert on_transparent(_apple("grey")) is None
    assert on_transparent(np.zeros((8, 8, 3), np.uint8)) is None
