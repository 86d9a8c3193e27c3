"""What lies in a folder: one row a series, each accepted, skipped by rule or quarantined with its reason.

The order is fixed by the files' relative paths and UIDs, so two walks of the same files give the same list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from apps.nodule.data.files import FoundFile, Kind, find_files, path_hash, volume_suffix
from apps.nodule.data.headers import Header, read_header
from apps.nodule.data.plan import Plan
from apps.nodule.data.quiet import quiet_libraries
from apps.nodule.data.select import Part, judge
from apps.nodule.data.volume_files import Layout, judge_volume
from apps.nodule.reasons import ACCEPTED, Note, Reason, fault, skip, verdict_of
from core.errors import ItemRefused
from core.runs.quarantine import FOLDER

# Names that the output folder needs for itself.
RESERVED_IDS = frozenset({FOLDER, "summary.csv", ""})
MAX_NAME_BYTES = 150
# Between a SeriesInstanceUID and the number of one of several stacks of images in it.
PART = "-part-"
FAULT_OF_KIND = {Kind.EMPTY: "empty_file", Kind.FALSE_DICOM: "not_dicom", Kind.UNREADABLE: "unreadable_file"}


@dataclass(frozen=True)
class SeriesItem:
    """One input series.

    id: SeriesInstanceUID (`<SeriesInstanceUID>-part-<n>` for one of several stacks of images in it), a volume file's
        stem, or `unreadable-<8 hex>` of the file's relative path.
    status: accepted, skipped or quarantined; code and sentence say why, free of patient data.
    files: sorted by relative path. kind: dicom, volume or file (neither).
    notes: what was left out, split or doubted.
    study: StudyInstanceUID, and description: SeriesDescription, as the header has them; empty for other files.
    plan: how an accepted series is read, as its headers have it: `load` opens no header again.
    group: all files of its SeriesInstanceUID, those of its other parts included: `judge_files` of these gives it again.
    """

    id: str
    status: str
    code: str
    sentence: str
    files: tuple[Path, ...]
    kind: str
    notes: tuple[Note, ...] = ()
    study: str = ""
    description: str = ""
    plan: Plan | Layout | None = field(default=None, repr=False, compare=False)
    group: tuple[Path, ...] = field(default=(), repr=False, compare=False)

    @property
    def series(self) -> str:
        """The SeriesInstanceUID of a DICOM row, whole or part; the id of any other."""
        return self.id.partition(PART)[0] if self.kind == "dicom" else self.id


def scan(folder: Path, *, leave_out: Iterable[Path] = ()) -> list[SeriesItem]:
    """Walk a folder (or take one file) and judge every series in it from headers alone.

    leave_out: folders not to enter, so that results written below the input are not read by the next run.
    The order is DICOM series by UID, then volumes by path, then other files by path.
    Raises InputError("input_missing").
    """
    return judge_files(find_files(folder, leave_out=leave_out))


def judge_files(every_file: Sequence[FoundFile]) -> list[SeriesItem]:
    """Judge every series of these files, as `scan` does."""
    with quiet_libraries():
        series, broken = _group([file for file in every_file if file.kind is Kind.DICOM])
        items = [item for uid, headers in series for item in _dicom_items(uid, headers)]
        items += _volumes(
            [file for file in every_file if file.kind is Kind.VOLUME], taken={uid for uid, _ in series}
        )
    others = [
        (file, _reason_of(file.kind)) for file in every_file if file.kind not in (Kind.DICOM, Kind.VOLUME)
    ]
    rest = sorted(broken + others, key=lambda pair: pair[0].relative)
    return items + [
        _item(f"unreadable-{path_hash(file.relative)}", why, [file.path], "file") for file, why in rest
    ]


def _item(identity: str, reason: Reason, files: list[Path], kind: str) -> SeriesItem:
    return SeriesItem(
        identity, reason.status, reason.code, reason.sentence, tuple(files), kind, group=tuple(files)
    )


def _dicom_items(uid: str, headers: list[Header]) -> list[SeriesItem]:
    """Return the row of a series, or one for each of its parts; what was left out counts with the first."""
    return [_dicom_item(uid, headers, part) for part in judge(headers)]


def _dicom_item(uid: str, headers: list[Header], part: Part) -> SeriesItem:
    used = sorted({number for number, _ in part.slices} | set(part.left_out)) or list(range(len(headers)))
    sentence = part.reason.sentence
    if part.reason.status != ACCEPTED:  # the notes of an accepted series stand in its results
        sentence = " ".join([sentence, *(text for _, text in part.notes)])
    first = headers[part.slices[0][0] if part.slices else 0]
    return SeriesItem(
        f"{uid}{PART}{part.number}" if part.number else uid,
        part.reason.status,
        part.reason.code,
        sentence,
        tuple(headers[number].path for number in used),
        "dicom",
        part.notes,
        first.text("StudyInstanceUID"),
        first.text("SeriesDescription"),
        part.plan,
        tuple(header.path for header in headers),
    )


def _reason_of(kind: Kind) -> Reason:
    return fault(FAULT_OF_KIND[kind]) if kind in FAULT_OF_KIND else skip("not_an_image")


def _group(files: list[FoundFile]) -> tuple[list[tuple[str, list[Header]]], list[tuple[FoundFile, Reason]]]:
    """Return headers by SeriesInstanceUID, sorted, and the files that have none, each with its reason."""
    series: dict[str, list[Header]] = {}
    broken: list[tuple[FoundFile, Reason]] = []
    for file in files:
        try:
            header = read_header(file.path)
        except ItemRefused as refusal:
            broken.append((file, verdict_of(refusal)))
        else:
            series.setdefault(header.text("SeriesInstanceUID"), []).append(header)
    return sorted(series.items()), broken


def _volumes(files: list[FoundFile], taken: set[str]) -> list[SeriesItem]:
    """Judge volume files; where two would share a name, each gets the hash of its path appended."""
    own = {file: file.path.name[: -len(volume_suffix(file.path.name) or "")] for file in files}
    stems = {file: _as_folder(stem) for file, stem in own.items()}
    count = Counter(stem.casefold() for stem in stems.values())
    items = []
    for file, stem in stems.items():
        shared = count[stem.casefold()] > 1 or stem in taken or stem.casefold() in RESERVED_IDS
        hashed = shared or stem != own[file]
        identity = f"{stem or 'volume'}-{path_hash(file.relative)}" if hashed else stem
        reason, layout = judge_volume(file.path)
        items.append(replace(_item(identity, reason, [file.path], "volume"), plan=layout))
    return items


def _as_folder(stem: str) -> str:
    """Return a stem that can name a folder of results: not hidden, not `..`, printable UTF-8, of moderate length."""
    shown = "".join(c if c.isprintable() else "_" for c in stem.lstrip("."))
    return shown.encode("utf-8")[:MAX_NAME_BYTES].decode("utf-8", errors="ignore")
