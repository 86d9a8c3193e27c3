"""What a person should know of a table before its scores are read: levels given as returns, columns that are not read,
categories that training did not have. Notes, one line each; nothing is refused or changed.

Legend: N series, R rows, K known values one after another, P pairs of neighbours among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from apps.risk.data.columns import Columns
from apps.risk.data.load import Loaded
from apps.risk.data.panel import UNSEEN, Categories, Panel
from apps.risk.reasons import note

SHORTEST = 50  # values from which a series can be seen to be a level
DICKEY_FULLER = (
    -2.86
)  # 5 % critical value of the test with a constant; Dickey & Fuller 1979, doi:10.2307/2286348
_SHOWN = 3  # categories named in a note


class Trained(NamedTuple):
    """What a model was trained on. columns: None for a model of single series."""

    name: str
    columns: Columns | None
    categories: Categories


def input_notes(loaded: Loaded, targets: Iterable[Any], event: Any = None) -> list[str]:
    """Return the notes on a table. targets, event: the models that forecast its targets and its event."""
    columns = loaded.columns
    notes = [level_note(loaded.everyone, label) for label in columns.targets]
    models = [trained_on(model) for model in targets] if columns.targets else []
    notes += unread_notes(columns, models)
    for one in models:
        if one.columns is not None:
            notes += unseen_notes(unseen_words(loaded.everyone, one.categories), one.name)
    if columns.event is not None and event is not None:
        notes += unseen_notes(loaded.unseen, event.name)
    return [sentence for sentence in dict.fromkeys(notes) if sentence]


def trained_on(model: Any) -> Trained:
    """Return the columns and categories of a model of targets."""
    description = model.net.description if hasattr(getattr(model, "net", None), "description") else model
    return Trained(model.name, getattr(description, "columns", None), getattr(description, "categories", {}))


def level_note(panel: Panel, label: str) -> str:
    """Return the note on a target whose series look like prices or other levels, in most that are long enough.

    A level: above 0 throughout, and the Dickey-Fuller test does not reject a random walk, with drift or without.
    """
    level_N = looks_like_level(panel, label)
    judged = int((level_N >= 0).sum())
    levels = int((level_N == 1).sum())
    if 2 * levels <= judged or not levels:
        return ""
    return note("level", label=label, count=levels, total=judged)


def looks_like_level(panel: Panel, label: str) -> np.ndarray:
    """Return of each series 1 for a level, 0 for none, -1 where it is too short to say, (N,) int8; the past counts."""
    N = len(panel.entities)
    value_R = panel.value_RF[:, panel.columns.features.index(label)]
    known_R = panel.past_R & ~np.isnan(value_R)
    value_K, entity_K = value_R[known_R], panel.entity_R[known_R]
    count_N = np.bincount(entity_K, minlength=N)
    positive_N = np.bincount(entity_K, value_K <= 0.0, minlength=N) == 0
    same_P = entity_K[1:] == entity_K[:-1]
    entity_P, before_P = entity_K[1:][same_P], value_K[:-1][same_P]
    change_P = value_K[1:][same_P] - before_P
    pairs_N = np.maximum(np.bincount(entity_P, minlength=N), 1)
    x_P = before_P - (np.bincount(entity_P, before_P, minlength=N) / pairs_N)[entity_P]
    y_P = change_P - (np.bincount(entity_P, change_P, minlength=N) / pairs_N)[entity_P]
    xx_N, xy_N, yy_N = (np.bincount(entity_P, part_P, minlength=N) for part_P in (x_P**2, x_P * y_P, y_P**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        slope_N = xy_N / xx_N
        error_N = np.sqrt(np.maximum(yy_N - slope_N * xy_N, 0.0) / np.maximum(pairs_N - 2, 1) / xx_N)
        reverts_N = slope_N < DICKEY_FULLER * error_N  # False for a constant series
    level_N = (positive_N & ~reverts_N & (xx_N > 0.0)).astype(np.int8)
    return np.where(count_N >= SHORTEST, level_N, -1).astype(np.int8)


def unread_notes(columns: Columns, models: Iterable[Trained]) -> list[str]:
    """Return the notes on declared columns that models of targets do not read, one for models that read the same."""
    given = (*columns.observed, *columns.known, *columns.statics, *columns.static_numbers)
    names: dict[tuple[str, ...], list[str]] = {}
    for one in models:
        unread = tuple(name for name in given if one.columns is None or name not in one.columns.all)
        names.setdefault(unread, []).append(one.name)
    return [
        note(
            "columns_unread", count=len(unread), total=len(given), shown=_some(unread), models=", ".join(who)
        )
        for unread, who in names.items()
        if unread
    ]


def unseen_words(panel: Panel, categories: Categories) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Return static → number of entities whose category training did not have, and those categories."""
    unseen = {}
    for index, name in enumerate(panel.columns.statics):
        code_N = panel.code_NS[:, index]
        words = np.array(panel.categories[name], dtype=object)
        is_new = np.array([word not in categories.get(name, ()) for word in words], dtype=bool)
        new_N = (code_N != UNSEEN) & np.append(False, is_new)[code_N]
        if new_N.any():
            unseen[name] = (int(new_N.sum()), tuple(words[np.unique(code_N[new_N]) - 1]))
    return unseen


def unseen_notes(unseen: Mapping[str, tuple[int, tuple[str, ...]]], model: str) -> list[str]:
    """Return a note on each static with categories that the training of a model did not have."""
    return [
        note(
            "categories_unseen",
            name=name,
            model=model,
            categories=len(words),
            shown=_some(words),
            count=count,
        )
        for name, (count, words) in unseen.items()
    ]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
