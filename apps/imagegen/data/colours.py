"""Which colour a picture has, and the same picture in another colour.

Legend: H rows, W columns, P coloured pixels. Hues are in degrees.
"""

from __future__ import annotations

import numpy as np
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv

HUES = {
    "red": 355.0,
    "orange": 25.0,
    "yellow": 48.0,
    "green": 125.0,
    "blue": 212.0,
    "purple": 272.0,
    "pink": 325.0,
}
_SATURATED, _BRIGHT = 0.35, 0.2  # from which a pixel has a colour
_NEAR = 30.0  # degrees round the main hue
_ONE, _MUCH = 0.75, 0.45  # shares: of the coloured pixels in that hue, of the object that is coloured
_WHITE = 0.97  # a pixel whose channels are all brighter is background


def main_hue(rgb_HWC: np.ndarray) -> float | None:
    """Return the hue that most of the object on white has; None where it has several, or hardly any.

    rgb_HWC: uint8.
    """
    hsv_HWC = rgb_to_hsv(rgb_HWC / 255.0)
    object_HW = (rgb_HWC / 255.0).min(axis=2) < _WHITE
    coloured_HW = (hsv_HWC[..., 1] > _SATURATED) & (hsv_HWC[..., 2] > _BRIGHT)
    hue_P = hsv_HWC[..., 0][coloured_HW] * 360.0
    if len(hue_P) < _MUCH * max(int(object_HW.sum()), 1):
        return None
    angle_P = np.deg2rad(hue_P)
    mean = float(np.rad2deg(np.arctan2(np.sin(angle_P).mean(), np.cos(angle_P).mean()))) % 360.0
    return mean if np.mean(_apart(hue_P, mean) < _NEAR) >= _ONE else None


def name_of(hue: float) -> str:
    """Return the name of the nearest hue that has one."""
    return min(HUES, key=lambda name: float(_apart(np.array(hue), HUES[name])))


def recoloured(rgb_HWC: np.ndarray, turn: float) -> np.ndarray:
    """Return the picture with all hues turned by some degrees, uint8; greys and white stay."""
    hsv_HWC = rgb_to_hsv(rgb_HWC / 255.0)
    hsv_HWC[..., 0] = (hsv_HWC[..., 0] + turn / 360.0) % 1.0
    turned: np.ndarray = np.round(hsv_to_rgb(hsv_HWC) * 255.0).astype(np.uint8)
    return turned


def _apart(hue: np.ndarray, other: float) -> np.ndarray:
    """Return the distance of two hues on the circle, 0 to 180 degrees."""
    apart: np.ndarray = np.abs((hue - other + 180.0) % 360.0 - 180.0)
    return apart
