"""The result of an evaluation: what its metrics.json holds, and the pictures of its page."""

from __future__ import annotations

from typing import Any

import numpy as np

from apps.imagegen.report.page import Shown

METRICS: dict[str, Any] = {
    "autoencoder": {"psnr_db": [31.25, 30.5, 32.0], "least_db": 24.0, "pictures": 12},
    "kid": {
        "drawn": [0.0123, 0.01, 0.015],
        "drawn_from_train_names": [0.011, 0.009, 0.013],
        "drawn_from_held_out_names": [0.013, 0.009, 0.017],
        "through_autoencoder": [0.0045, 0.003, 0.006],
        "real": [-0.0002, -0.001, 0.001],
        "network": "a <network>",
        "pictures": 128,
        "held_out": 120,
    },
    "caption_match": {
        "drawn": [0.74, 0.6, 0.9],
        "shuffled": [0.06, 0.03, 0.09],
        "real": [1.0, 1.0, 1.0],
        "chance": 0.0625,
        "by_prompt": {"red apple": 1.0, "blue car": 0.25},
        "pictures": 128,
        "real_pictures": 16,
    },
    "scorer": {"held_out": [0.4, 0.3, 0.5], "pictures": 120, "digest": "ab" * 32},
    "drawn_by": {
        "steps": 25,
        "guidance": 4.0,
        "scheduler": "ddim",
        "model": "cd" * 32,
        "name": "emoji & co",
        "seed": 3,
        "pictures": 288,
    },
    "protocol": ["One sentence.", "Another one."],
}


def shown() -> Shown:
    rgb_NHWC = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
    return Shown(["red apple", "a cat's face"], rgb_NHWC, rgb_NHWC, 255 - rgb_NHWC)
