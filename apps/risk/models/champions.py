"""The champions that an evaluation chose: champion.json of stage=evaluate, label → {champion, rule, …}."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from apps.risk.reasons import INPUTS

CHAMPIONS = "champion.json"


def read_champions(source: Path) -> dict[str, str]:
    """Return label → model's name. source: the file, or the folder that stage=evaluate wrote.

    Raises InputError champion_unreadable.
    """
    path = source / CHAMPIONS if source.is_dir() else source
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(label): str(one["champion"]) for label, one in content.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise INPUTS("champion_unreadable", path=path, name=CHAMPIONS) from error


def champion_of(champions: Mapping[str, str], labels: Sequence[str], models: Sequence[str]) -> str:
    """Return the one of `models` that was chosen for all these labels; "champion" where there is no label.

    Raises InputError champion_missing for a label that was not evaluated, champion_unknown for a model that is not
    among `models`, champion_differs where labels have different ones.
    """
    if not labels:
        return "champion"
    for label in labels:
        if label not in champions:
            raise INPUTS("champion_missing", labels=", ".join(champions), label=label)
        if champions[label] not in models:
            raise INPUTS("champion_unknown", model=champions[label], label=label, models=", ".join(models))
    names = dict.fromkeys(champions[label] for label in labels)
    if len(names) > 1:
        listed = ", ".join(f'{champions[label]} of "{label}"' for label in labels)
        raise INPUTS("champion_differs", listed=listed)
    return next(iter(names))
