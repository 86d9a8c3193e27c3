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

_COLUMNS = 8
_PAIRS = 8  # held-out pictures shown before and after the autoencoder
_DASH = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, eq=False)
class Shown:
    """Pictures for the page, uint8: everyday prompts with what was drawn, held-out ones before and after."""

    prompts: Sequence[str]
    drawn_NHWC: np.ndarray
    before_NHWC: np.ndarray
    after_NHWC: np.ndarray


def evaluation_page(told: Mapping[str, Any], shown: Shown) -> Page:
    """Return the page of what `evaluate.run` found; `told` is the content of its metrics.json."""
    likeness, match, scorer = told["kid"], told["caption_match"], told["scorer"]
    psnr_db = told["autoencoder"]["psnr_db"]
    drawn_by = told["drawn_by"]
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
            PageSection("What the autoencoder keeps", _autoencoder(told["autoencoder"], shown)),
            PageSection(
                "How it was measured", [*(Text(sentence) for sentence in told["protocol"]), _facts(told)]
            ),
        ],
        footer="Triptych is research software. Figures on small sets of one style say nothing about others.",
    )


def number(value: float, digits: int = 2) -> str:
    """Return a figure with a true minus sign."""
    return f"{value:.{digits}f}".replace("-", _MINUS)


def percent(share: float) -> str:
    """Return a share of 0 to 1 as whole percent."""
    return f"{100.0 * share:.0f} %"


def interval(found: Sequence[float], factor: float = 1.0, digits: int = 2) -> str:
    """Return the bounds of a figure as "1.20 to 3.40"."""
    return f"{number(factor * found[1], digits)} to {number(factor * found[2], digits)}"


def _match(match: Mapping[str, Any], scorer: Mapping[str, Any]) -> list[Any]:
    names = {
        "drawn": "Drawn pictures",
        "real": "Real pictures of these prompts",
        "shuffled": "Prompts dealt at random",
    }
    rows: list[list[str | Bar | Link]] = [
        [title, Bar(match[name][0], percent(match[name][0])), interval(match[name], 100.0, 0)]
        for name, title in names.items()
    ]
    rows.append(
        [
            "Scorer alone, held-out pictures",
            Bar(scorer["held_out"][0], percent(scorer["held_out"][0])),
            interval(scorer["held_out"], 100.0, 0),
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
        "drawn_from_train_names": f"{_DASH} from names of training pictures",
        "drawn_from_held_out_names": f"{_DASH} from names of held-out pictures",
        "through_autoencoder": "Real pictures through the autoencoder",
        "real": "Real pictures",
    }
    rows = [
        [title, number(1000.0 * likeness[name][0]), interval(likeness[name], 1000.0)]
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
    places = np.linspace(0, len(shown.before_NHWC) - 1, min(_PAIRS, len(shown.before_NHWC))).astype(int)
    pairs_NHWC = np.concatenate([shown.before_NHWC[places], shown.after_NHWC[places]], axis=2)
    text = (
        f"{number(psnr_db[0], 1)} dB on average over {autoencoder['pictures']} held-out pictures "
        f"({interval(psnr_db, digits=1)}), {number(autoencoder['least_db'], 1)} dB on the worst."
    )
    return [Text(text), *_rows(["Before, and after"] * len(places), pairs_NHWC)]


def _facts(told: Mapping[str, Any]) -> Facts:
    return Facts(
        [("Model", told["drawn_by"]["model"][:16]), ("Scorer", told["scorer"]["digest"][:16])],
    )


def _rows(captions: Sequence[str], rgb_NHWC: np.ndarray) -> list[Gallery]:
    """Return pictures in rows that a screen can hold."""
    figures = [
        Figure(drawn_over(rgb_HWC, caption), caption)
        for caption, rgb_HWC in zip(captions, rgb_NHWC, strict=True)
    ]
    return [Gallery(figures[first : first + _COLUMNS]) for first in range(0, len(figures), _COLUMNS)]
