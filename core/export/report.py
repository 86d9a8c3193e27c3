"""The table of an export, for the terminal, the run's record, and the page beside the manifest."""

from __future__ import annotations

from core.errors import ExitCode
from core.export.formats import FORMATS
from core.export.manifest import REFUSED, Artifact, Manifest
from core.reports.page import Column, Facts, Page, PageSection, Table, Text, Tile
from core.runs.folder import Run
from core.text.figures import DASH

PAGE = "report.html"
UNJUDGED = "not measured: made for smaller inputs than the task has"
SHOWS_NOTHING = "it cannot fall, and proves nothing"
COLUMNS = ("network", "format", "error", "times as fast", "MB", "rows alone", "task")
_NUMERIC = ("error", "times as fast", "MB")
_HOW = (
    "Error: the largest difference from PyTorch on random and real inputs of several sizes, relative to the largest "
    "value of the output. Times as fast: medians beside PyTorch, in turns, on one thread. Rows alone: whether the "
    "bytes of one entry do not depend on the rest of its batch. Task: the metric before and after, all networks in "
    "this format. A file that fails its check is not published."
)


def finish(manifest: Manifest, run: Run) -> int:
    """Print the table, write it to the record of the run, and return 4 where a network was refused, else 0."""
    for line in lines_of(manifest):
        run.say(line)
    table = [dict(zip(COLUMNS, row, strict=True)) for row in rows_of(manifest)]
    absent = [vars(one) for one in manifest.absent]
    run.write_metrics({"artifacts": len(manifest.artifacts), "table": table, "absent": absent})
    refused = any(one.status == REFUSED for one in manifest.absent)
    return ExitCode.QUARANTINED if refused else ExitCode.DONE


def rows_of(manifest: Manifest) -> list[tuple[str, ...]]:
    """Return a row of `COLUMNS` for each network and format that was asked for, those that are absent last."""
    absent = [
        (one.network, one.format, *(len(_NUMERIC) + 1) * (DASH,), f"{one.status}: {one.why}")
        for one in manifest.absent
    ]
    unjudged = UNJUDGED if manifest.metrics else ""
    return [*(_row(one, unjudged) for one in manifest.artifacts), *absent]


def lines_of(manifest: Manifest) -> list[str]:
    """Return the table as lines of text."""
    table = [COLUMNS, *rows_of(manifest)]
    widths = [max(len(row[place]) for row in table) for place in range(len(COLUMNS))]
    return [
        "  ".join(
            cell.rjust(width) if name in _NUMERIC else cell.ljust(width)
            for name, cell, width in zip(COLUMNS, row, widths, strict=True)
        ).rstrip()
        for row in table
    ]


def page_of(manifest: Manifest) -> Page:
    """Return the page of an export."""
    held = manifest.artifacts
    fastest = max(held, key=lambda one: one.ratio, default=None)
    tiles = [Tile("files", str(len(held)), f"{len(manifest.absent)} not published")]
    if fastest is not None:
        tiles.append(
            Tile(
                "fastest",
                f"{fastest.ratio:.1f}\N{MULTIPLICATION SIGN}",
                f"{fastest.network}, {fastest.format}",
            )
        )
        tiles.append(
            Tile("largest error", f"{max(one.error for one in held):.0e}", "relative to the largest value")
        )
    table = Table(
        "Every network in every format",
        [Column(name, numeric=name in _NUMERIC) for name in COLUMNS],
        rows_of(manifest),
    )
    formats = dict.fromkeys([one.format for one in held] + [one.format for one in manifest.absent])
    meanings = Facts(
        [
            *manifest.networks.items(),
            *manifest.metrics.items(),
            ("task", manifest.task),
            *((name, FORMATS[name].about) for name in formats),
        ]
    )
    versions = sorted({pair for one in held for pair in one.versions.items()})
    facts = Facts([("model", manifest.model), ("processor", manifest.processor), *versions])
    return Page(
        title="Export",
        subtitle=f"{len(held)} files, each run beside PyTorch and judged by its task.",
        eyebrow=f"Triptych \N{MIDDLE DOT} {manifest.app}",
        tiles=tiles,
        sections=[
            PageSection("Formats", [table]),
            PageSection("What is what", [meanings]),
            PageSection("How it was done", [Text(_HOW), facts]),
        ],
    )


def _row(one: Artifact, unjudged: str) -> tuple[str, ...]:
    task = ", ".join(
        f"{name} {record.before:.4g} \N{RIGHTWARDS ARROW} {record.after:.4g}"
        + (f": {SHOWS_NOTHING}" if record.shows_nothing else "")
        for name, record in one.metrics.items()
    )
    alone = {True: "yes", False: "no", None: DASH}[one.rows_independent]
    return (
        one.network,
        one.format,
        f"{one.error:.0e}",
        f"{one.ratio:.2f}",
        f"{one.bytes / 1e6:.2f}",
        alone,
        task or unjudged,
    )
