"""White paper around what was drawn to transparency.

White that hangs together with the picture's edge is background; white inside, such as an eye's, is not. Along the rim
the paper is taken out of the colour (Porter & Duff 1984, "Compositing digital images": C = aF + (1 - a)B, B white).
Legend: H rows, W columns, C red, green, blue, and alpha.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_PAPER = 236  # darkest channel of a pixel that counts as white paper
_SHARE = 0.6  # of the outermost pixels that must be paper: else the picture was not drawn on white
_RIM = 2  # pixels beside the background that may be mixed with it


def on_transparent(rgb_HWC: np.ndarray) -> np.ndarray | None:
    """Return the picture (uint8) with its background transparent, (H, W, 4); None where it is not drawn on white."""
    darkest_HW = rgb_HWC.min(axis=2)
    paper_HW = darkest_HW >= _PAPER
    edge_HW = np.ones_like(paper_HW)
    edge_HW[1:-1, 1:-1] = False
    if paper_HW[edge_HW].mean() < _SHARE:
        return None
    outside_HW = ndimage.binary_propagation(paper_HW & edge_HW, mask=paper_HW)
    rim_HW = ndimage.binary_dilation(outside_HW, iterations=_RIM) & ~outside_HW
    # how dark the drawing itself is near a pixel of the rim: there the paper's share is nothing
    full_HW = ndimage.minimum_filter(darkest_HW, size=2 * _RIM + 1).astype(np.float32)
    mixed_HW = (255.0 - darkest_HW) / np.maximum(255.0 - full_HW, 1.0)
    alpha_HW = np.where(outside_HW, 0.0, np.where(rim_HW, mixed_HW, 1.0))
    part_HW1 = np.maximum(alpha_HW, 1.0 / 255.0)[:, :, None]
    colour_HWC = (rgb_HWC - (1.0 - part_HW1) * 255.0) / part_HW1
    shown_HWC = np.where(alpha_HW[:, :, None] > 0, colour_HWC, 255.0)
    rgba_HWC = np.concatenate([shown_HWC, 255.0 * alpha_HW[:, :, None]], axis=2)
    return rgba_HWC.round().clip(0, 255).astype(np.uint8)
