"""stage=infer through its entry point: a night's folder, whatever is in it."""

from __future__ import annotations

import csv
import json
import os
import re
import time
import warnings
from pathlib import Path

import pytest
from pydicom import dcmread

from apps.nodule.data.volume import Volume
from apps.nodule.infer import SUMMARY_COLUMNS
from apps.nodule.models.compact_detector import CompactDetector
from apps.nodule.models.findings import Candidate
from apps.nodule.report.tables import COLUMNS
from pipelines.nodule import main
from tests.apps.nodule import inputs
from tests.apps.nodule.data.dicom_samples import CANARY, UID_CANARY, chest_series, chest_volume, save
from tests.apps.nodule.data.test_load_silence import with_canaries
from tests.apps.nodule.inputs import Result

DICOM_SET = {"candidates.csv", "nodules.csv", "report.html", "report.json", "sr.dcm"}
VOLUME_SET = {"candidates.csv", "nodules.csv", "report.html", "report.json", "seg.nii.gz"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inputs.fresh_weights(tmp_path_factory.mktemp("weights") / "w.safetensors")


def infer(source: Path, output: Path, weights: Path, *words: str) -> Result:
    """Run the command in this process; at most one finding a series, for each costs seconds of drawing."""
    run_dir = output.with_name(output.name + "-run")
    code = main([
        "stage=infer", f"input={source}", f"output={output}", f"run_dir={run_dir}", f"weights={weights}",
        "model.device=cpu", "model.max_candidates=1", *words,
    ])  # fmt: skip
    return Result(code, output, run_dir)


@pytest.fixture(scope="module")
def night(
    tmp_path_factory: pytest.TempPathFactory, weights: Path
) -> tuple[Result, dict[str, tuple[str, str]]]:
    folder = tmp_path_factory.mktemp("night")
    expected = inputs.nasty_night(folder / "in")
    return infer(folder / "in", folder / "out", weights), expected


def test_every_series_of_a_nasty_night_gets_its_row(night: tuple[Result, dict[str, tuple[str, str]]]) -> None:
    result, expected = night
    assert result.code == 4
    rows = result.summary()
    assert len(rows) == len(expected) == 16
    assert {row["series"]: (row["status"], row["reason"]) for row in rows} == expected
    assert [tuple(row) for row in rows] == [SUMMARY_COLUMNS] * len(rows)
    for row in rows:
        assert re.fullmatch(r"[A-Z].*\.", row["detail"]), "a sentence for people"
        looked_at = row["status"] == "accepted"
        assert (row["findings"] != "") == (row["candidates"] != "") == looked_at
    notes = {row["series"]: row["notes"] for row in rows}
    by_name = {name: inputs.series(name)[0] for name in ("tilted", "doubled", "good")}
    assert notes[by_name["tilted"]] == "gantry_tilt not_searched candidate_limit"
    assert notes[by_name["doubled"]] == "duplicates_dropped not_searched candidate_limit"
    assert notes[by_name["good"]] == "not_searched candidate_limit"
    assert {row["series"]: row["files"] for row in rows}[by_name["doubled"]] == "25"


def test_every_good_series_of_it_is_processed(night: tuple[Result, dict[str, tuple[str, str]]]) -> None:
    result, expected = night
    accepted = {series for series, (status, _) in expected.items() if status == "accepted"}
    assert len(accepted) == 6
    folders = {path.name for path in result.output.iterdir() if path.is_dir()} - {"quarantine"}
    assert folders == accepted
    for series in accepted:
        folder = result.output / series
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert files >= (VOLUME_SET if series == "case 7" else DICOM_SET | {"seg.dcm", "sc/01.dcm"})
        report = json.loads((folder / "report.json").read_text())
        assert report["number_of_findings"] == len(report["findings"]) == 1
        assert report["model"] == {"name": "compact", "version": "0.0.1", "threshold": 0.05}
        with (folder / "nodules.csv").open(newline="") as stream:
            (row,) = csv.DictReader(stream)
        assert tuple(row) == COLUMNS
        assert row["seriesuid"] == series
        assert float(row["probability"]) >= 0.05


def test_every_bad_series_of_it_is_set_aside(night: tuple[Result, dict[str, tuple[str, str]]]) -> None:
    result, expected = night
    bad = {series: code for series, (status, code) in expected.items() if status == "quarantined"}
    assert len(bad) == 6
    kept = {path.stem: json.loads(path.read_text()) for path in (result.output / "quarantine").iterdir()}
    assert {series: record["code"] for series, record in kept.items()} == bad
    rows = {row["series"]: row for row in result.summary()}
    for series, record in kept.items():
        assert record["sentence"] == rows[series]["detail"]
        assert len(record["files"]) == int(rows[series]["files"]) > 0
        assert not any(name.startswith("/") for name in record["files"])


def test_the_run_is_recorded_in_numbers_alone(night: tuple[Result, dict[str, tuple[str, str]]]) -> None:
    result, expected = night
    metrics = json.loads((result.run_dir / "metrics.json").read_text())
    assert metrics == {"accepted": 6, "skipped": 4, "quarantined": 6, "findings": 6}
    log = (result.run_dir / "log.jsonl").read_text()
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert "inferred" in events
    assert "fault" not in events
    assert not [series for series in expected if series in log]


def test_only_skipped_is_not_a_fault(
    tmp_path: Path, weights: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for make in (inputs.localiser, inputs.capture, inputs.magnet):
        make(tmp_path / "in")
    result = infer(tmp_path / "in", tmp_path / "out", weights)
    assert result.code == 0
    assert [row["status"] for row in result.summary()] == ["skipped"] * 3
    assert [path.name for path in result.output.iterdir()] == ["summary.csv"]
    assert one_line(capfd).startswith("note: 3 of 3 series were skipped, ")


def test_the_same_bytes_twice(tmp_path: Path, weights: Path) -> None:
    """Into two folders, more than a second apart, and once more into the second, which then lies below the input."""
    source = tmp_path / "in"
    uid, name = inputs.good_ct(source), inputs.good_nifti(source)
    inputs.missing(source)
    first = infer(source, tmp_path / "out", weights)
    began = time.monotonic()
    files = first.files()
    assert first.code == 4
    assert {
        f"{uid}/sr.dcm",
        f"{uid}/seg.dcm",
        f"{uid}/sc/01.dcm",
        f"{name}/seg.nii.gz",
        "summary.csv",
    } <= set(files)
    time.sleep(max(0.0, 1.1 - (time.monotonic() - began)))
    second = infer(source, source / "results", weights)
    assert second.files() == files
    again = infer(source, source / "results", weights)
    assert again.files() == files, "results of an earlier run are not read"
    instances = [dcmread(path).SOPInstanceUID for path in sorted((first.output / uid).rglob("*.dcm"))]
    assert len(set(instances)) == len(instances) >= 3


def test_a_run_within_the_input_folder_does_not_read_its_own_records(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cd scans; triptych-nodule stage=infer input=. output=out`, twice."""
    inputs.localiser(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ["stage=infer", "input=.", "output=out", f"weights={weights}"]
    summaries = []
    for _ in range(2):
        assert main(words) == 0
        summaries.append((tmp_path / "out" / "summary.csv").read_bytes())
    assert len(list((tmp_path / "runs" / "nodule" / "infer").iterdir())) == 2
    assert summaries[0] == summaries[1]
    assert summaries[0].count(b"\n") == 2, "a header and the localiser"


def test_what_became_good_leaves_the_quarantine(tmp_path: Path, weights: Path) -> None:
    uid, datasets = inputs.series("good")
    save([d for i, d in enumerate(datasets) if i != 7], tmp_path / "in", "part")
    first = infer(tmp_path / "in", tmp_path / "out", weights)
    assert first.code == 4
    assert (first.output / "quarantine" / f"{uid}.json").is_file()
    (late,) = save(datasets[7:8], tmp_path / "in", "late")
    second = infer(tmp_path / "in", tmp_path / "out", weights)
    assert second.code == 0
    assert not (second.output / "quarantine").exists()
    assert (second.output / uid / "report.json").is_file()
    late.unlink()
    third = infer(tmp_path / "in", tmp_path / "out", weights)
    assert third.code == 4
    assert not (third.output / uid).exists(), "what the summary calls unreadable has no findings"


def test_a_series_without_a_finding_says_what_is_absent(tmp_path: Path, weights: Path) -> None:
    uid = inputs.good_ct(tmp_path / "in")
    inputs.good_nifti(tmp_path / "in")
    result = infer(tmp_path / "in", tmp_path / "out", weights, "model.threshold=1")
    assert result.code == 0
    dicom, volume = result.summary()
    assert (dicom["findings"], dicom["notes"]) == ("0", "not_searched no_segmentation")
    assert dicom["detail"].endswith("Nothing was found, so there is no segmentation file.")
    assert not (result.output / uid / "seg.dcm").exists()
    assert (volume["findings"], volume["notes"]) == ("0", "not_searched")
    assert (result.output / "case 7" / "seg.nii.gz").is_file(), "an empty label map is a label map"


def break_one(monkeypatch: pytest.MonkeyPatch, uid: str, error: Exception) -> None:
    """The real detector cannot be made to fail on one series; here it does."""
    detect = CompactDetector.detect

    def failing(self: CompactDetector, volume: Volume) -> list[Candidate]:
        if volume.uid == uid:
            raise error
        return detect(self, volume)

    monkeypatch.setattr(CompactDetector, "detect", failing)


@pytest.mark.parametrize(
    ("error", "code", "logged"),
    [
        (RuntimeError(f"what {CANARY} said"), "internal_fault", "RuntimeError"),
        (OSError(28, CANARY), "internal_fault", "OSError"),
        (MemoryError(CANARY), "out_of_memory", None),
    ],
)
def test_a_defect_in_one_series_is_its_own(
    tmp_path: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: Exception,
    code: str,
    logged: str | None,
) -> None:
    ann, bob = inputs.two_patients(tmp_path / "in")
    break_one(monkeypatch, ann, error)
    result = infer(tmp_path / "in", tmp_path / "out", weights)
    assert result.code == 4
    assert {row["series"]: row["reason"] for row in result.summary()} == {ann: code, bob: "ct_series"}
    assert (result.output / bob / "report.json").is_file()
    assert not (result.output / ann).exists()
    record = json.loads((result.output / "quarantine" / f"{ann}.json").read_text())
    assert record["code"] == code
    lines = [json.loads(line) for line in (result.run_dir / "log.jsonl").read_text().splitlines()]
    faults = [line for line in lines if line["event"] == "fault"]
    assert [fault["type"] for fault in faults] == ([logged] if logged else [])
    for fault in faults:
        assert re.fullmatch(r"[0-9a-f]{12}", fault["item"])
        assert re.fullmatch(r"tests/apps/nodule/test_infer\.py:\d+", fault["where"])
    output = json.dumps(lines) + json.dumps(record) + (result.output / "summary.csv").read_text()
    line = one_line(capfd)
    assert line.startswith("note: 1 of 2 series were quarantined, all because ")
    assert line.endswith(f"({code}); all are listed in {result.output / 'summary.csv'}")
    assert CANARY not in output + line


def one_line(capfd: pytest.CaptureFixture[str]) -> str:
    out, err = capfd.readouterr()
    assert out == ""
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err.removeprefix("triptych-nodule: ").rstrip("\n")


def test_an_empty_folder(tmp_path: Path, weights: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    assert infer(tmp_path / "in", tmp_path / "out", weights).code == 2
    assert one_line(capfd) == f"{tmp_path / 'in'} holds no file to read"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_folder(tmp_path: Path, weights: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert infer(tmp_path / "in", tmp_path / "out", weights).code == 2
    assert one_line(capfd) == f"input={tmp_path / 'in'} cannot be read: No such file or directory"


def test_an_output_that_is_a_file(tmp_path: Path, weights: Path, capfd: pytest.CaptureFixture[str]) -> None:
    inputs.localiser(tmp_path / "in")
    (tmp_path / "out").write_text("mine")
    for output in (tmp_path / "out", tmp_path / "out" / "below"):
        code = main(
            ["stage=infer", f"input={tmp_path / 'in'}", f"output={output}", f"run_dir={tmp_path / 'run'}"]
        )
        assert code == 2
        assert str(tmp_path / "out") in one_line(capfd)
    assert (tmp_path / "out").read_text() == "mine"


def test_an_output_that_is_the_input(
    tmp_path: Path, weights: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    inputs.localiser(tmp_path / "in")
    before = sorted((tmp_path / "in").rglob("*"))
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for output in (tmp_path / "in", tmp_path / "link"):
        assert infer(tmp_path / "in", output, weights).code == 2
        assert one_line(capfd) == f"output {output} is the input itself; name another folder"
    assert sorted((tmp_path / "in").rglob("*")) == before


@pytest.mark.parametrize("room", [0, 60_000])
def test_a_full_disk(
    tmp_path: Path, weights: Path, small_disk: Path, capfd: pytest.CaptureFixture[str], room: int
) -> None:
    """Full from the start, and full in the middle of a series."""
    uid = inputs.good_ct(tmp_path / "in")
    free = os.statvfs(small_disk)
    (small_disk / "filling").write_bytes(b"\0" * max(free.f_bavail * free.f_frsize - room, 0))
    run_dir = tmp_path / "run"
    code = main([
        "stage=infer", f"input={tmp_path / 'in'}", f"output={small_disk / 'out'}", f"run_dir={run_dir}",
        f"weights={weights}", "model.device=cpu", "model.max_candidates=1",
    ])  # fmt: skip
    assert code == 2
    line = one_line(capfd)
    assert line == f"the disk of {small_disk / 'out'} is full"
    assert uid not in line
    left = [path for path in (small_disk / "out").rglob("*") if path.is_file()]
    assert not [path for path in left if path.name.startswith(".")], "nothing half written"
    assert not [path for path in left if path.name in ("report.json", "summary.csv")], (
        "nothing that seems done"
    )


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 no weights"])
def test_weights_that_are_none(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    inputs.localiser(tmp_path / "in")
    path = tmp_path / "weights, (mine).safetensors"
    if content is not None:
        path.write_bytes(content)
    assert infer(tmp_path / "in", tmp_path / "out", path).code == 2
    assert str(path) in one_line(capfd)


def test_a_folder_that_holds_several_weights_ends_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    inputs.localiser(tmp_path / "in")
    (tmp_path / "run").mkdir()
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / "run" / name).touch()
    assert infer(tmp_path / "in", tmp_path / "out", tmp_path / "run").code == 2
    assert one_line(capfd) == (
        f"{tmp_path / 'run'} holds 2 weights files (a.safetensors, b.safetensors): name one of them"
    )


def test_a_file_name_that_is_not_a_utf8(tmp_path: Path, weights: Path) -> None:
    """Old CDs have them; JSON and CSV do not."""
    _, datasets = inputs.series("missing", slices=30)
    folder = tmp_path / "in" / os.fsdecode(b"Aufnahme f\xfcr M\xfcller")
    save([d for i, d in enumerate(datasets) if i != 7], folder)
    inputs.good_nifti(tmp_path / "in")
    (tmp_path / "in" / "case 7.nii.gz").rename(tmp_path / "in" / os.fsdecode(b"Thorax f\xfcnf.nii.gz"))
    result = infer(tmp_path / "in", tmp_path / "out", weights)
    assert result.code == 4
    assert [row["reason"] for row in result.summary()] == ["missing_slices", "ct_volume"]
    assert len(list((result.output / "quarantine").iterdir())) == 1
    assert [path.name for path in result.output.glob("Thorax f_nf-*/seg.nii.gz")] == ["seg.nii.gz"]


def test_nothing_of_the_patient_is_reported(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every text attribute is a canary, in a good series, in one with a gap and in one that meets a defect."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns while the canaries are written
        for number, name in enumerate(("good", "gap", "defect"), start=1):
            datasets = with_canaries(chest_series(chest_volume(uid=name)))
            for dataset in datasets:
                dataset.SeriesInstanceUID = f"{UID_CANARY}.9.{number}"
                dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID}{number}"
                dataset.PatientName = f"{CANARY}^{CANARY}"
            save(datasets if name != "gap" else datasets[:5] + datasets[6:], tmp_path / "in" / name)
    capfd.readouterr()
    defect = f"{UID_CANARY}.9.3"
    break_one(monkeypatch, defect, ValueError(f"{CANARY} {defect}"))
    result = infer(tmp_path / "in", tmp_path / "out", weights)
    assert result.code == 4
    rows = result.summary()
    assert [row["reason"] for row in rows] == ["ct_series", "missing_slices", "internal_fault"]
    assert CANARY.encode() in result.files()[f"{rows[0]['series']}/sr.dcm"], (
        "it did name the patient where it may"
    )
    record = "".join(path.read_text() for path in result.run_dir.iterdir() if path.is_file())
    output = "".join(capfd.readouterr()) + record
    assert "fault" in output
    for canary in (CANARY, UID_CANARY):
        assert canary not in output
    sentences = "".join(row["reason"] + row["detail"] + row["notes"] for row in rows)
    sentences += "".join(
        path.read_text() for path in (result.output / "quarantine").iterdir() if path.is_file()
    )
    assert CANARY not in sentences
