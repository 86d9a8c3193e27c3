"""The page of an evaluation: what the model draws, and the figures beside what they must be read with.

Legend: N pictures, H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.reports.page import (
    Bar,
    Column,
    Facts,
    Figure,
    Gallery,
    Link,
    Notice,
    Page,
    PageSection,
    Table,
    Text,
    Tile,
)
from core.reports.picture import drawn_over
from core.text.figures import DASH, bounds, number, percent

_COLUMNS = 8
_PAIRS = 8  # held-out pictures shown before and after the autoencoder


@dataclass(frozen=True, eq=False)
class Shown:
    """Pictures for the page, uint8: everyday prompts with what was drawn, held-out ones before and after."""

    prompts: Sequence[str]
    drawn_NHWC: np.ndarray
    before_NHWC: np.ndarray
    after_NHWC: np.ndarray


def evaluation_page(metrics: Mapping[str, Any], shown: Shown) -> Page:
    """Return the page of an evaluation; `metrics` is the content of metrics.json."""
    likeness, match, scorer = metrics["kid"], metrics["caption_match"], metrics["scorer"]
    psnr_db = metrics["autoencoder"]["psnr_db"]
    drawn_by = metrics["drawn_by"]
    how = f"{drawn_by['steps']} steps, guidance {drawn_by['guidance']:g}, {drawn_by['scheduler']}"
    return Page(
        eyebrow="Triptych image generation",
        title=f"Evaluation of {drawn_by['name']}",
        subtitle=f"{drawn_by['pictures']} pictures drawn with {how}, from seed {drawn_by['seed']}.",
        tiles=[
            Tile("Caption match", percent(match["drawn"][0]), f"chance {percent(match['chance'])}"),
            Tile("KID × 1000", number(1000.0 * likeness["drawn"][0]), f"on {likeness['network']}"),
            Tile("Autoencoder", f"{number(psnr_db[0], 1)} dB", "PSNR, held-out pictures"),
            Tile("The scorer itself", percent(scorer["held_out"][0]), "finds a held-out picture's name"),
        ],
        sections=[
            PageSection("Everyday prompts", _rows(shown.prompts, shown.drawn_NHWC)),
            PageSection("Do pictures show what was asked for?", _match(match, scorer)),
            PageSection("Are they like real pictures?", _likeness(likeness)),
            PageSection("What the autoencoder keeps", _autoencoder(metrics["autoencoder"], shown)),
            PageSection(
                "How it was measured",
                [*(Text(sentence) for sentence in metrics["protocol"]), _facts(metrics)],
            ),
        ],
        footer="Triptych is research software. Figures on small sets of one style say nothing about others.",
    )


def _match(match: Mapping[str, Any], scorer: Mapping[str, Any]) -> list[Any]:
    names = {
        "drawn": "Drawn pictures",
        "real": "Real pictures of these prompts",
        "shuffled": "Prompts dealt at random",
    }
    rows: list[list[str | Bar | Link]] = [
        [title, Bar(match[name][0], percent(match[name][0])), bounds(match[name], 0, 100.0)]
        for name, title in names.items()
    ]
    rows.append(
        [
            "Scorer alone, held-out pictures",
            Bar(scorer["held_out"][0], percent(scorer["held_out"][0])),
            bounds(scorer["held_out"], 0, 100.0),
        ]
    )
    by_prompt = [[prompt, Bar(share, percent(share))] for prompt, share in match["by_prompt"].items()]
    return [
        Table(
            f"Own prompt wins among {len(by_prompt)}",
            [Column("Of"), Column("Share"), Column("95 % interval", numeric=True)],
            rows,
        ),
        Table("Each prompt", [Column("Prompt"), Column("Own prompt wins")], by_prompt),
    ]


def _likeness(likeness: Mapping[str, Any]) -> list[Any]:
    names = {
        "drawn": "Drawn pictures",
        "drawn_from_train_names": f"{DASH} from names of training pictures",
        "drawn_from_held_out_names": f"{DASH} from names of held-out pictures",
        "through_autoencoder": "Real pictures through the autoencoder",
        "real": "Real pictures",
    }
    rows = [
        [title, number(1000.0 * likeness[name][0]), bounds(likeness[name], factor=1000.0)]
        for name, title in names.items()
    ]
    return [
        Table(
            f"KID × 1000 to {likeness['held_out']} held-out real pictures, on {likeness['network']}",
            [Column("Of"), Column("KID × 1000", numeric=True), Column("95 % interval", numeric=True)],
            rows,
        ),
        Notice("This is neither the standard FID nor the standard KID: compare on this network only."),
    ]


def _autoencoder(autoencoder: Mapping[str, Any], shown: Shown) -> list[Any]:
    psnr_db = autoencoder["psnr_db"]
    chosen = np.linspace(0, len(shown.before_NHWC) - 1, min(_PAIRS, len(shown.before_NHWC))).astype(int)
    pairs_NHWC = np.concatenate([shown.before_NHWC[chosen], shown.after_NHWC[chosen]], axis=2)
    text = (
        f"{number(psnr_db[0], 1)} dB on average over {autoencoder['pictures']} held-out pictures "
        f"({bounds(psnr_db, 1)}), {number(autoencoder['least_db'], 1)} dB on the worst."
    )
    return [Text(text), *_rows(["Before, and after"] * len(chosen), pairs_NHWC)]


def _facts(metrics: Mapping[str, Any]) -> Facts:
    return Facts(
        [("Model", metrics["drawn_by"]["model"][:16]), ("Scorer", metrics["scorer"]["digest"][:16])],
    )


def _rows(captions: Sequence[str], rgb_NHWC: np.ndarray) -> list[Gallery]:
    """Return pictures in rows that a screen can hold."""
    figures = [
        Figure(drawn_over(rgb_HWC, caption), caption)
        for caption, rgb_HWC in zip(captions, rgb_NHWC, strict=True)
    ]
    return [Gallery(figures[first : first + _COLUMNS]) for first in range(0, len(figures), _COLUMNS)]
