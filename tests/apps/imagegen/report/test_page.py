"""The page of an evaluation says what was found, beside what it must be read with."""

from __future__ import annotations

import numpy as np

from apps.imagegen.report.page import Shown, evaluation_page
from tests.apps.imagegen.report.metrics_made import METRICS, shown


def test_every_figure_stands_beside_its_references() -> None:
    page = evaluation_page(METRICS, shown())
    assert [tile.value for tile in page.tiles] == ["74 %", "12.30", "31.2 dB", "40 %"]
    assert page.tiles[1].note == "on a <network>"
    text = page.render()
    for row in (
        "Real pictures through the autoencoder",
        "Prompts dealt at random",
        "Real pictures of these prompts",
        "Scorer alone, held-out pictures",
        "−0.20",
        "−1.00 to 1.00",
        "31.2 dB on average over 12 held-out pictures (30.5 to 32.0), 24.0 dB on the worst.",
        "KID × 1000 to 120 held-out real pictures, on a &lt;network&gt;",
        "neither the standard FID nor the standard KID",
        "288 pictures drawn with 25 steps, guidance 4, ddim, from seed 3.",
        "Evaluation of emoji &amp; co",
        "One sentence.",
    ):
        assert row in text, row
    assert text.count("data:image/png;base64,") == 4  # two prompts, two pairs
    assert text == evaluation_page(METRICS, shown()).render()


def test_pairs_are_side_by_side_and_few() -> None:
    many = Shown(["x"], np.zeros((1, 8, 8, 3), np.uint8), *[np.zeros((50, 8, 8, 3), np.uint8)] * 2)
    text = evaluation_page(METRICS, many).render()
    assert text.count("data:image/png;base64,") == 1 + 8
    assert text.count('viewBox="0 0 16 8"') == 8
