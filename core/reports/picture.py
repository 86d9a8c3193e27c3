"""A grey or colour picture as inline SVG, with lines, marks and letters drawn over it as vectors."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from PIL import Image

_MARK = "#ffb82e"
_FACE = 'font-family="system-ui, sans-serif" font-weight="600"'
_LETTERS = 'fill="#f2f4f5" stroke="#000" stroke-opacity=".65" paint-order="stroke"'


@dataclass(frozen=True)
class Spot:
    """A numbered ring on a picture, at pixel (x, y), leading to an anchor on the same page."""

    x: float
    y: float
    text: str
    anchor: str


def png(picture: np.ndarray) -> bytes:
    """Return a picture (H, W) or (H, W, 3) uint8 as PNG, without a date."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG", compress_level=6)
    return stream.getvalue()


def drawn_over(
    picture: np.ndarray,
    alt: str,
    lines: Sequence[np.ndarray] = (),
    spots: Sequence[Spot] = (),
    letters: str = "",
    bar: tuple[float, str] | None = None,
) -> Markup:
    """Return the picture as SVG that grows with the page.

    picture: (H, W) or (H, W, 3) uint8. lines: (N, 2) outlines in pixels (x, y), pixel centres at whole numbers.
    letters: four, for the left, right, top and bottom edge. bar: length in pixels and text of a scale bar.
    """
    height, width = picture.shape[:2]
    source = base64.b64encode(png(picture)).decode("ascii")
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}" {_FACE}>',
        f'<image width="{width}" height="{height}" href="data:image/png;base64,{source}"/>',
        *(_line(points, width) for points in lines),
        *(_letter(letter, side, width, height) for side, letter in enumerate(letters)),
        *([_scale_bar(bar, width, height)] if bar else []),
        *(_spot(spot, width, height) for spot in spots),
        "</svg>",
    ]
    return Markup("".join(parts))


def _line(points: np.ndarray, width: int) -> str:
    path = "M" + "L".join(f"{x + 0.5:.1f} {y + 0.5:.1f}" for x, y in points)
    if np.allclose(points[0], points[-1]):
        path += "Z"
    return f'<path d="{path}" fill="none" stroke="{_MARK}" stroke-width="{width / 160:.2f}" stroke-linejoin="round"/>'


def _letter(letter: str, side: int, width: int, height: int) -> str:
    size = max(width, height) / 24
    x = (0.7 * size, width - 0.7 * size, width / 2, width / 2)[side]
    y = (height / 2, height / 2, 0.8 * size, height - 0.8 * size)[side]
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" text-anchor="middle" dominant-baseline="central" '
        f'stroke-width="{size / 6:.1f}" {_LETTERS}>{escape(letter)}</text>'
    )


def _scale_bar(bar: tuple[float, str], width: int, height: int) -> str:
    length, text = bar
    size = width / 28
    right, low = width - 0.8 * size, height - 0.8 * size
    return (
        f'<path d="M{right - length:.1f} {low:.1f}H{right:.1f}" stroke="#000" stroke-opacity=".65" '
        f'stroke-width="{size * 0.42:.1f}"/>'
        f'<path d="M{right - length:.1f} {low:.1f}H{right:.1f}" stroke="#f2f4f5" stroke-width="{size * 0.22:.1f}"/>'
        f'<text x="{right:.1f}" y="{low - 0.6 * size:.1f}" font-size="{size:.1f}" text-anchor="end" '
        f'stroke-width="{size / 6:.1f}" {_LETTERS}>{escape(text)}</text>'
    )


def _spot(spot: Spot, width: int, height: int) -> str:
    radius = max(width, height) / 52
    outwards = -1 if spot.x > width * 0.88 else 1
    return (
        f'<a href="#{escape(spot.anchor)}"><circle cx="{spot.x:.1f}" cy="{spot.y:.1f}" r="{radius:.1f}" '
        f'fill="#000" fill-opacity=".15" stroke="{_MARK}" stroke-width="{radius / 4:.1f}"/>'
        f'<text x="{spot.x + outwards * 2.1 * radius:.1f}" y="{spot.y:.1f}" font-size="{2.1 * radius:.1f}" '
        f'text-anchor="middle" dominant-baseline="central" fill="{_MARK}" stroke="#000" stroke-opacity=".7" '
        f'stroke-width="{radius / 3:.1f}" paint-order="stroke">{escape(spot.text)}</text></a>'
    )
