"""Which pages of the site are generated, and what must be documented for the site to build."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import griffe

from apps.imagegen.config import ImagegenConfig
from apps.nodule.config import NoduleConfig
from apps.risk.config import RiskConfig
from core.errors import ExitCode
from core.jobs.config import JobsConfig
from core.serving.models_config import ModelsConfig
from docs.generate import api, dicom
from docs.generate.columns import columns_page, risk_columns
from docs.generate.markdown import code, table, without_local_links
from docs.generate.options import options_page, settings_page
from docs.generate.reasons import reasons_page

ROOT = Path(__file__).resolve().parents[2]
# Packages whose exported names are the Python API.
PUBLIC = ("apps.nodule", "apps.risk", "apps.imagegen")
# Card in the repository → page of the site.
CARDS = {
    "apps/nodule/weights/compact.md": "reference/models/compact.md",
    "apps/risk/weights/series/card.md": "reference/models/series.md",
    "apps/risk/weights/loan_book/card.md": "reference/models/loan-book.md",
    "apps/imagegen/weights/emoji/card.md": "reference/models/emoji.md",
}
RESULTS = "benchmarks/results/README.md"
JOBS_ABOUT = "`triptych-jobs work --concurrency 2 ...`; `triptych-jobs work --help` shows the same list."


def pages() -> dict[str, Callable[[], str]]:
    """Return the generated pages: path below docs/ → what makes its Markdown."""
    made: dict[str, Callable[[], str]] = {
        "reference/api.md": api_page,
        "reference/options-nodule.md": lambda: options_page("triptych-nodule", "nodule", NoduleConfig),
        "reference/options-risk.md": lambda: options_page("triptych-risk", "risk", RiskConfig),
        "reference/options-imagegen.md": lambda: options_page(
            "triptych-imagegen", "imagegen", ImagegenConfig
        ),
        "reference/options-models.md": lambda: options_page("triptych-models", "models", ModelsConfig),
        "reference/options-jobs.md": lambda: settings_page(
            "Options of triptych-jobs work", JOBS_ABOUT, JobsConfig
        ),
        "reference/reasons.md": reasons_page,
        "reference/exit-codes.md": exit_codes_page,
        "reference/columns.md": columns_page,
        "reference/metrics.md": metrics_page,
        "reference/measurements.md": lambda: without_local_links((ROOT / RESULTS).read_text("utf-8")),
    }
    for source, target in CARDS.items():
        made[target] = lambda source=source: card_page(source)  # type: ignore[misc]
    return made


# Text that a written page takes from the code: marker → what makes its Markdown.
INSERTS: dict[str, Callable[[], str]] = {
    "dicom-copied": dicom.copied_attributes,
    "dicom-read-classes": dicom.read_classes,
    "dicom-read-syntaxes": dicom.read_syntaxes,
    "dicom-written": dicom.written_classes,
    "openai-fields": api.openai_fields,
    "own-fields": api.own_fields,
    "risk-columns": risk_columns,
}


def exit_codes_page() -> str:
    """Return the page of exit codes: from the enumeration and the comments of its members."""
    path = ROOT / "core" / "errors.py"
    meanings = griffe.visit("core.errors", path, path.read_text("utf-8"))["ExitCode"].members
    rows = [
        (code(int(member)), code(member.name), _attribute_doc(meanings[member.name])) for member in ExitCode
    ]
    rows += [
        (code(128 + number), name, f"stopped by {name}") for number, name in ((2, "Ctrl-C"), (15, "SIGTERM"))
    ]
    about = (
        "The same for every command. No command chooses 1: Python, Hydra and torchrun use it for crashes.\n"
    )
    return f"# Exit codes\n\n{about}\n" + table(("code", "name", "meaning"), rows)


def metrics_page() -> str:
    """Return the page of metrics: each module of `apps/<app>/metrics` with its public functions."""
    parts = ["# Metrics\n", "Functions that take arrays and return numbers; each names its source.\n"]
    for app in PUBLIC:
        parts += [f"::: {module}\n" for module in metrics_modules(app)]
    return "\n".join(parts)


def card_page(source: str) -> str:
    """Return a model card for the site; links to other files of the repository become their paths."""
    return without_local_links((ROOT / source).read_text(encoding="utf-8"))


def api_page() -> str:
    """Return the page of the Python API: every name that an app exports."""
    about = (
        "Each name is imported from its application: `from apps.nodule import …`. Nothing else is public.\n"
    )
    parts = ["# Public names\n", about]
    for package in PUBLIC:
        parts.append(f"## {package}\n")
        parts += [
            f"::: {package}.{name}\n    options:\n      heading_level: 3\n" for name in exported(package)
        ]
    return "\n".join(parts)


def exported(package: str) -> list[str]:
    """Return the public names of a package, without importing what is behind them."""
    return list(getattr(importlib.import_module(package), "__all__", ()))


def undocumented() -> Iterator[str]:
    """Yield each public name without a docstring: what the apps export, and what their metrics modules define.

    Of a class its methods and properties count too. The site leaves out what has no docstring.
    """
    loader = griffe.GriffeLoader(search_paths=[str(ROOT)])
    for package in PUBLIC:
        _load_once(loader, package)
        for name in exported(package):
            thing = loader.modules_collection[f"{package}.{name}"]
            if isinstance(thing, griffe.Alias):
                _load_once(loader, thing.target_path)
                thing = thing.final_target
            yield from (f"{package}.{name}: {path}" for path in _without_docstring(thing))
        for module in metrics_modules(package):
            for name, thing in loader.modules_collection[module].members.items():
                if not name.startswith("_") and not thing.is_alias and (thing.is_function or thing.is_class):
                    yield from _without_docstring(thing)


def metrics_modules(package: str) -> list[str]:
    """Return the dotted names of an app's metrics modules, sorted."""
    folder = ROOT / package.replace(".", "/") / "metrics"
    return [
        f"{package}.metrics.{path.stem}" for path in sorted(folder.glob("*.py")) if path.stem != "__init__"
    ]


def _without_docstring(thing: griffe.Object | griffe.Alias) -> Iterator[str]:
    inside = [thing]
    if thing.is_class:
        inside += [
            member
            for member in thing.members.values()
            if not member.name.startswith("_") and (member.is_function or "property" in member.labels)
        ]
    return (one.path for one in inside if not one.has_docstring)


def _load_once(loader: griffe.GriffeLoader, path: str) -> None:
    top = path.partition(".")[0]
    if top not in loader.modules_collection:
        loader.load(top)


def _attribute_doc(member: griffe.Object | griffe.Alias) -> str:
    assert member.docstring, f"{member.path} has no docstring"
    return member.docstring.value
