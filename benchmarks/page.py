"""The page of all records, as Markdown: what was measured, on what, by which command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HEAD = """# Measurements

Made by `python -m benchmarks.nodule page` (or another app's) from the JSON files beside this page; nothing is
typed in by hand.
The newest record of each theme comes first. "changed" means that the checkout held changes that were not committed.
"""


def render_page(records: Sequence[dict[str, Any]]) -> str:
    """Return the page; records come oldest first, as `benchmarks.record.read_records` gives them."""
    parts = [HEAD]
    for theme in sorted({record["theme"] for record in records}):
        mine = [record for record in reversed(records) if record["theme"] == theme]
        parts.append(f"## {theme}\n\n" + "\n".join(_entry(record) for record in mine))
    return "\n".join(parts) + "\n"


def card_environment(folder: Path) -> Environment:
    """Return what renders a folder's templates of model cards: a figure that no record gives is an error."""
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, from our own numbers
    )


def device_words(device: dict[str, Any]) -> str:
    """Return a device in words: processor, cores, memory, instruction sets that change the speed, GPUs."""
    sets = [name for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if name in device["isa"]]
    memory = f", {device['memory_bytes'] / 2**30:.0f} GiB" if device["memory_bytes"] else ""
    gpus = "".join(f", {name}" for name in device["gpus"])
    return (
        f"{device['cpu']}, {device['cores']} cores{memory}, {' '.join(sets) or 'no vector set known'}{gpus}"
    )


def _entry(record: dict[str, Any]) -> str:
    git = record["git"]
    commit = f"`{git['commit'][:7]}`{' (changed)' if git['changed'] else ''}" if git else "no commit"
    values = ", ".join(f"{name}: **{value}**" for name, value in record["headline"].items())
    return (
        f"- {values}  \n  {record['time'][:10]}, commit {commit}, {record['seconds']:g} s, "
        f"at most {record['peak_memory_mb']} MB, {device_words(record['device'])}  \n"
        f"  `{record['command']}` → [{record['file']}]({record['file']})"
    )
