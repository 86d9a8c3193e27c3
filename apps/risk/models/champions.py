"""The champions that an evaluation chose: champion.json of stage=evaluate, label → {champion, rule, …}."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from apps.risk.reasons import INPUTS

CHAMPIONS = "champion.json"


def read_champions(place: Path) -> dict[str, str]:
    """Return label → model's name. place: the file, or the folder that stage=evaluate wrote.

    Raises InputError champion_unreadable.
    """
    path = place / CHAMPIONS if place.is_dir() else place
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return {str(label): str(one["champion"]) for label, one in told.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise INPUTS("champion_unreadable", path=path, name=CHAMPIONS) from error


def champion_of(champions: Mapping[str, str], labels: Sequence[str], kind: Sequence[str]) -> str:
    """Return the one model, of a kind, that was chosen for all these labels; "champion" where there is no label.

    Raises InputError champion_missing for a label that was not evaluated, champion_unreadable for a model of another
    kind, champion_differs where labels have different ones.
    """
    if not labels:
        return "champion"
    for label in labels:
        if label not in champions:
            raise INPUTS("champion_missing", labels=", ".join(champions), label=label)
        if champions[label] not in kind:
            raise INPUTS("champion_unknown", model=champions[label], label=label, models=", ".join(kind))
    names = dict.fromkeys(champions[label] for label in labels)
    if len(names) > 1:
        listed = ", ".join(f'{champions[label]} of "{label}"' for label in labels)
        raise INPUTS("champion_differs", listed=listed)
    return next(iter(names))
