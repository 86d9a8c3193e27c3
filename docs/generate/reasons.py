"""The page of reason codes: every table of `Reasons` that a module of ours declares."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from core.errors import ExitCode, ItemRefused, TriptychError
from core.reasons import Reasons
from core.serving.service_error import ServiceReasons
from docs.generate.markdown import code, escaped, table

ROOT = Path(__file__).resolve().parents[2]


def reason_modules() -> Iterator[ModuleType]:
    """Yield the modules that hold tables: `reasons.py` of an app, of a folder of core, and of a folder of an app."""
    for top in ("apps", "core"):
        for path in sorted((ROOT / top).rglob("reasons.py")):
            yield importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def reason_tables(module: ModuleType) -> dict[str, Reasons[TriptychError]]:
    """Return the tables that a module declares, by their names."""
    return {name: value for name, value in vars(module).items() if isinstance(value, Reasons)}


def reasons_page() -> str:
    """Return the page: a section for each package, a table for each kind of error."""
    parts = [
        "# Reason codes\n",
        "A code is stable: programs may compare it. Its sentence is for people and may be reworded.\n",
        "`{name}` stands for a value that is filled in.\n",
    ]
    for module in reason_modules():
        tables, verdicts = reason_tables(module), sentence_tables(module)
        if not tables and not verdicts:
            continue
        parts.append(f"## {_title(module)}\n\nDeclared in `{module.__name__.replace('.', '/')}.py`.\n")
        for reasons in tables.values():
            parts += [f"### {_heading(reasons)}\n", _table(reasons)]
        for title, sentences in verdicts.items():
            parts += [f"### {title}\n", table(("code", "sentence"), _rows(sentences))]
    return "\n".join(parts)


def sentence_tables(module: ModuleType) -> dict[str, dict[str, str]]:
    """Return the tables of verdicts of a module, code → sentence, by what they mean."""
    titles = {
        "ACCEPTED_SENTENCES": "Status `accepted`",
        "SKIP_SENTENCES": "Status `skipped`: left aside by rule, no fault",
        "NOTE_SENTENCES": "Notes on an accepted input: repaired or peculiar",
        "LIMIT_SENTENCES": "Notes on an accepted input: not searched or not reported",
    }
    return {title: getattr(module, name) for name, title in titles.items() if hasattr(module, name)}


def _table(reasons: Reasons[TriptychError]) -> str:
    if isinstance(reasons, ServiceReasons):
        rows = [
            (name, str(reasons.statuses[name]), reasons.sentences[name]) for name in sorted(reasons.sentences)
        ]
        return table(("code", "status", "sentence"), [(code(a), b, escaped(c)) for a, b, c in rows])
    return table(("code", "sentence"), _rows(reasons.sentences))


def _heading(reasons: Reasons[TriptychError]) -> str:
    about = reasons.about[:1].upper() + reasons.about[1:].removesuffix(".")
    if isinstance(reasons, ServiceReasons):
        return f"{about}: answered over HTTP"
    if issubclass(reasons.error, ItemRefused):
        return f"{about}: one item is set aside, exit code {int(ExitCode.QUARANTINED)}"
    return f"{about}: exit code {int(reasons.error.exit_code)}"


def _title(module: ModuleType) -> str:
    top, *folders = module.__name__.split(".")[:-1]
    if top == "core":
        return f"All commands: {folders[0]}" if folders else "All commands"
    app, *inside = folders
    return " ".join([f"triptych-{app}", *inside]) + f" {{ #{'-'.join([app, *inside])} }}"


def _rows(sentences: dict[str, str]) -> list[tuple[str, str]]:
    return [(code(name), escaped(sentence)) for name, sentence in sorted(sentences.items())]
