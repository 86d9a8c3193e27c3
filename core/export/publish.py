"""Export networks in formats: write each, check it against eager and by the task, publish what passes in one folder.

output/
├── manifest.json                 what is there, what was measured, and what is not there and why
├── report.html                   the same as a table
└── <format>/<network>.<suffix>     of Triton a folder, so that output/triton is a model repository;
                                    beside those for TorchServe lies <app>.mar, which holds them all
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import logging
import os
import secrets
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import TriptychError
from core.export.check import Checked, check
from core.export.formats import TORCHSERVE, Format, backend_of
from core.export.manifest import (
    NAME,
    NOT_APPLICABLE,
    REFUSED,
    VERSION,
    Absent,
    Artifact,
    FileRecord,
    Manifest,
    MetricRecord,
    file_digest,
    read_manifest,
    write_manifest,
)
from core.export.network import Network
from core.export.predictor import open_artifact
from core.export.reasons import ARTIFACTS
from core.export.report import PAGE, SHOWS_NOTHING, UNJUDGED, page_of
from core.export.task import Task
from core.export.to_torchserve import Archive, pack
from core.runs.files import make_folder, write_text
from core.runs.outputs import output_error
from core.runs.provenance import device

_NOTHING: Mapping[str, str] = {}
_TALKATIVE = ("torch.onnx", "torch.export", "onnxscript", "transformers", "nncf")  # loggers of exporters
_VERSIONED = ("torch", "onnx", "onnxruntime", "onnxscript", "openvino", "nncf", "executorch")


@dataclass(frozen=True)
class Progress:
    """One step of an export that is done: a network in a format, and what became of it in a few words."""

    network: str
    format: str
    outcome: str


def _ignore(_step: Progress) -> None:
    """Do nothing with a step."""


def publish(
    networks: Sequence[Network],
    task: Task,
    formats: Sequence[Format],
    folder: Path,
    *,
    app: str,
    model: str,
    archive: Archive | None = None,
    without: Mapping[str, str] = _NOTHING,
    on_step: Callable[[Progress], None] = _ignore,
) -> Manifest:
    """Write all networks in all formats to a folder, and return its manifest.

    What fails its check, or costs more of a task metric than is allowed, is not published; the manifest says why.
    The folder appears as a whole, in place of an earlier export. app, model: what is exported; model is the digest of
    its weights. archive: what joins the networks in an archive for TorchServe, which is not applicable without it.
    without: what of the app no format can hold, by name → why. Raises ConfigError, backend_missing, before any work;
    InputError, export_other_files, for a folder that holds something else, and OutputError.
    """
    for one in formats:
        backend_of(one)
    _require_free(folder)
    with _staged(folder) as staging:
        artifacts: list[Artifact] = []
        absent = [
            Absent(name, one.name, NOT_APPLICABLE, why) for name, why in without.items() for one in formats
        ]
        for network in networks:
            for one in formats:
                made = _unserved(network, one, archive) or _made(network, one, staging)
                (artifacts if isinstance(made, Artifact) else absent).append(made)  # type: ignore[arg-type]
                outcome = (
                    f"{made.status}: {made.why}" if isinstance(made, Absent) else f"error {made.error:.1e}"
                )
                on_step(Progress(network.name, one.name, outcome))
        kept, lost = _judged(artifacts, networks, task, staging, on_step)
        if archive is not None:
            kept, unpacked = _packed(kept, archive, networks, staging)
            lost += unpacked
        for refused in lost:
            _remove(staging / refused.format / refused.network)
        manifest = Manifest(
            version=VERSION,
            app=app,
            model=model,
            processor=device()["cpu"] or "unknown",
            task=task.about,
            networks={one.name: one.about for one in networks},
            metrics={one.name: one.about for one in task.metrics},
            artifacts=tuple(kept),
            absent=(*absent, *lost),
        )
        write_manifest(manifest, staging)
        write_text(staging / PAGE, page_of(manifest).render())
    return manifest


def _made(network: Network, one: Format, staging: Path) -> Artifact | Absent:
    """Write and check one network in one format."""
    backend = backend_of(one)
    why = network.not_applicable.get(one.name) or getattr(backend, "lacking", lambda: None)()
    if why is not None:
        return Absent(network.name, one.name, NOT_APPLICABLE, why)
    network = network.within(one.name)
    path = make_folder(staging / one.name) / network.name
    try:
        with _quiet():
            files = backend.write(network, path)
        checked = check(network, backend.load(files[0], 1))
    except OSError as error:
        raise output_error(error, staging) from error
    except TriptychError:
        raise
    except Exception as error:  # a compiler's refusal can be of any type
        _remove(path)
        return Absent(network.name, one.name, REFUSED, _first_line(error))
    if not checked.error <= one.tolerance:
        _remove(path)
        why = f"error {checked.error:.1e}, and at most {one.tolerance:g} is allowed"
        return Absent(network.name, one.name, REFUSED, why)
    return _artifact(network, one, files, checked, staging)


def _unserved(network: Network, one: Format, archive: Archive | None) -> Absent | None:
    if one.name != TORCHSERVE or archive is not None:
        return None
    why = network.not_applicable.get(one.name, "the application has no handler for TorchServe")
    return Absent(network.name, one.name, NOT_APPLICABLE, why)


def _packed(
    artifacts: Sequence[Artifact], archive: Archive, networks: Sequence[Network], staging: Path
) -> tuple[list[Artifact], list[Absent]]:
    """Pack the networks for TorchServe, which serves all or none; return what stays and what does not."""
    inside = [one for one in artifacts if one.format == TORCHSERVE]
    others = [one for one in artifacts if one.format != TORCHSERVE]
    missing = [network.name for network in networks if network.name not in {one.network for one in inside}]
    if missing:
        why = f"the archive lacks {', '.join(missing)}"
        return others, [Absent(one.network, TORCHSERVE, REFUSED, why) for one in inside]
    if not inside:
        return others, []
    path = pack(archive, [staging / one.files[0].path for one in inside], staging / TORCHSERVE)
    record = FileRecord(str(path.relative_to(staging)), file_digest(path))
    size = path.stat().st_size
    return [
        *others,
        *(replace(one, files=(*one.files, record), bytes=one.bytes + size) for one in inside),
    ], []


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what exporters warn of and log: deprecations of their own parts; what is wrong the check finds."""
    levels = {name: logging.getLogger(name).level for name in _TALKATIVE}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def _judged(
    artifacts: Sequence[Artifact],
    networks: Sequence[Network],
    task: Task,
    staging: Path,
    on_step: Callable[[Progress], None],
) -> tuple[list[Artifact], list[Absent]]:
    """Measure the task with eager networks, then with those of each format; return what stays and what does not.

    Networks that a format limits to smaller sizes cannot do the task: they are kept without its metrics.
    """
    if not artifacts:
        return [], []
    before = dict(task.measure({}))
    kept: list[Artifact] = []
    lost: list[Absent] = []
    for name in dict.fromkeys(one.format for one in artifacts):
        limited = {network.name for network in networks if name in network.narrowed}
        kept += [one for one in artifacts if one.format == name and one.network in limited]
        those = [one for one in artifacts if one.format == name and one.network not in limited]
        if not those:
            on_step(Progress("all networks", name, UNJUDGED))
            continue
        after = dict(task.measure({one.network: open_artifact(one, staging) for one in those}))
        records = {
            metric.name: MetricRecord(
                before[metric.name], after[metric.name], metric.most(before[metric.name]), metric.better
            )
            for metric in task.metrics
        }
        whys = [
            f"{metric.name} {before[metric.name]:.4g} → {after[metric.name]:.4g},"
            f" and at most {metric.most(before[metric.name]):.3g} may be lost"
            for metric in task.metrics
            if metric.lost(before[metric.name], after[metric.name]) > metric.most(before[metric.name])
        ]
        if whys:
            lost += [Absent(one.network, name, REFUSED, "; ".join(whys)) for one in those]
        else:
            kept += [replace(one, metrics=records) for one in those]
        which = "all networks" if not limited else ", ".join(one.network for one in those)
        empty = [
            f"{title} is 0 before: {SHOWS_NOTHING}" for title, one in records.items() if one.shows_nothing
        ]
        on_step(Progress(which, name, "; ".join(whys or empty) or "keeps the task metrics"))
    return kept, lost


def _artifact(
    network: Network, one: Format, files: Sequence[Path], checked: Checked, staging: Path
) -> Artifact:
    return Artifact(
        network=network.name,
        format=one.name,
        precision=one.precision,
        files=tuple(FileRecord(str(file.relative_to(staging)), file_digest(file)) for file in files),
        bytes=sum(file.stat().st_size for file in files),
        inputs=network.inputs,
        outputs=network.outputs,
        axes=network.axes,
        tolerance=one.tolerance,
        error=checked.error,
        cases=checked.cases,
        milliseconds=checked.milliseconds,
        eager_milliseconds=checked.eager_milliseconds,
        ratio=checked.ratio,
        rows_independent=checked.rows_independent,
        instructions=tuple(device()["isa"]) if one.compiled else (),
        versions=_versions(),
        metrics={},
        rows=network.rows,
    )


def _versions() -> dict[str, str]:
    versions = {}
    for name in _VERSIONED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _remove(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}.*"):
        file.unlink()
    shutil.rmtree(path, ignore_errors=True)
    if not any(path.parent.iterdir()):
        path.parent.rmdir()


def _require_free(folder: Path) -> None:
    """Refuse a folder that holds anything but an earlier export."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / NAME).is_file():
        raise ARTIFACTS("export_other_files", path=folder)
    if (folder / NAME).is_file():
        read_manifest(folder)


@contextlib.contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """Give a folder beside the target; on success it takes the target's name, else nothing stays."""
    make_folder(folder.parent)
    staging = folder.parent / f".{secrets.token_hex(8)}.part"
    make_folder(staging)
    try:
        yield staging
        earlier = folder.parent / f".{secrets.token_hex(8)}.old"
        if folder.exists():
            os.replace(folder, earlier)
        os.replace(staging, folder)
        shutil.rmtree(earlier, ignore_errors=True)
    except OSError as error:
        raise output_error(error, folder) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
