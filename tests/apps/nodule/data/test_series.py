"""A folder of everything: each series gets its row, and one bad one never stops the others."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2KLossless

from apps.nodule.data.dicom_write import CTHeader, derive_uid, write_ct_series
from apps.nodule.data.files import path_hash
from apps.nodule.data.series import SeriesItem, scan
from apps.nodule.data.volume_files import write_volume_file
from core.errors import InputError
from tests.apps.nodule.data.dicom_samples import chest_series, chest_volume, other_class, report, save

SC, MR = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.4"


def rows(folder: Path) -> dict[str, tuple[str, str, int]]:
    items = scan(folder)
    table = {item.id: (item.status, item.code, len(item.files)) for item in items}
    assert len(table) == len(items), "two rows share an id"
    return table


def unreadable(relative: str) -> str:
    return f"unreadable-{path_hash(relative)}"


def series(name: str, slices: int = 24, **header: str) -> tuple[str, list]:
    uid = derive_uid("test", name)
    return uid, chest_series(chest_volume(slices=slices, uid=name), series_uid=uid, **header)


def test_an_empty_folder_has_no_rows(tmp_path: Path) -> None:
    assert scan(tmp_path) == []


def test_a_missing_folder_is_an_error_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        scan(tmp_path / "nowhere")


def test_a_mixed_folder(tmp_path: Path) -> None:
    """The bad input of one night: every kind at once, two patients in one folder among them."""
    ann, ann_series = series("ann", patient_id="ANN")
    bob, bob_series = series("bob", patient_id="BOB")
    save(ann_series, tmp_path / "all", "a")
    save(bob_series, tmp_path / "all", "b")
    gap, gap_series = series("gap", slices=30)
    save([d for i, d in enumerate(gap_series) if i != 7], tmp_path / "all", "gap")
    cut, cut_series = series("cut")
    paths = save(cut_series, tmp_path / "all", "cut")
    paths[3].write_bytes(paths[3].read_bytes()[:-700])
    bare, bare_series = series("bare")
    for dataset in bare_series:
        del dataset.PixelData
    save(bare_series, tmp_path / "bare")
    scout, scout_series = series("scout", slices=16)
    for dataset in scout_series:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save(scout_series, tmp_path / "scout")
    few, few_series = series("few", slices=16)
    save(few_series, tmp_path / "few")
    capture, magnet, dose = other_class(SC, "OT"), other_class(MR, "MR", 24), report()
    save(capture, tmp_path / "other", "sc")
    save(magnet, tmp_path / "other", "mr")
    save([dose], tmp_path / "other", "sr")
    syntax, syntax_series = series("syntax")
    for dataset in syntax_series:
        dataset.PixelData = encapsulate([b"\0" * 64])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
    save(syntax_series, tmp_path / "syntax")
    (tmp_path / "empty.dcm").write_bytes(b"")
    (tmp_path / "text.dcm").write_text("no DICOM at all")
    (tmp_path / "README.txt").write_text("no image at all")
    (tmp_path / "stub.dcm").write_bytes(paths[0].read_bytes()[:300])
    (tmp_path / "junk.nii.gz").write_bytes(b"junk")
    write_volume_file(chest_volume(), tmp_path / "volume.nii.gz")
    expected = {
        ann: ("accepted", "ct_series", 24),
        bob: ("accepted", "ct_series", 24),
        gap: ("quarantined", "missing_slices", 29),
        cut: ("quarantined", "truncated", 24),
        bare: ("quarantined", "no_pixel_data", 24),
        scout: ("skipped", "localiser", 16),
        few: ("skipped", "too_few_slices", 16),
        capture[0].SeriesInstanceUID: ("skipped", "secondary_capture", 1),
        magnet[0].SeriesInstanceUID: ("skipped", "not_ct", 24),
        dose.SeriesInstanceUID: ("skipped", "no_image_object", 1),
        syntax: ("quarantined", "unknown_syntax", 24),
        "junk": ("quarantined", "unreadable_volume", 1),
        "volume": ("accepted", "ct_volume", 1),
        unreadable("empty.dcm"): ("quarantined", "empty_file", 1),
        unreadable("text.dcm"): ("quarantined", "not_dicom", 1),
        unreadable("stub.dcm"): ("quarantined", "truncated", 1),
        unreadable("README.txt"): ("skipped", "not_an_image", 1),
    }
    assert rows(tmp_path) == expected
    ids = [item.id for item in scan(tmp_path)]
    dicom = ids[: ids.index("junk")]
    assert dicom == sorted(dicom)
    assert ids[ids.index("junk") :][:2] == ["junk", "volume"]


def test_rows_do_not_depend_on_names_or_nesting(tmp_path: Path) -> None:
    uid, datasets = series("one")
    save(datasets, tmp_path / "flat")
    shuffled = list(datasets)
    random.Random(5).shuffle(shuffled)
    for number, dataset in enumerate(shuffled):
        save([dataset], tmp_path / "deep" / str(number % 3) / str(number))
    flat, deep = scan(tmp_path / "flat"), scan(tmp_path / "deep")
    assert [(item.id, item.sentence) for item in flat] == [(item.id, item.sentence) for item in deep]
    assert [item.id for item in flat] == [uid]
    assert scan(tmp_path / "deep") == deep


@pytest.mark.parametrize(
    ("keyword", "code"),
    [
        ("PatientID", "mixed_patients"),
        ("StudyInstanceUID", "mixed_studies"),
        ("FrameOfReferenceUID", "mixed_frames_of_reference"),
    ],
)
def test_one_series_uid_of_two_owners_is_set_aside(tmp_path: Path, keyword: str, code: str) -> None:
    uid, datasets = series("shared")
    for dataset in datasets[12:]:
        setattr(dataset, keyword, "1.2.3")
    save(datasets, tmp_path)
    assert rows(tmp_path) == {uid: ("quarantined", code, 24)}


def test_several_reconstructions_of_a_study_are_series_of_their_own(tmp_path: Path) -> None:
    for kernel in ("B30f", "B70f"):
        header = CTHeader(study_uid="1.2.3", convolution_kernel=kernel)
        write_ct_series(chest_volume(), tmp_path / kernel, header=header)
    assert [item.code for item in scan(tmp_path)] == ["ct_series", "ct_series"]


def test_names_of_volumes(tmp_path: Path) -> None:
    """One name for one result folder: stems are kept, shared or reserved ones get the hash of their path."""
    names = [
        "a/scan.nii.gz",
        "b/scan.nrrd",
        "b/Case 7.mha",
        "c/quarantine.nii.gz",
        "c/.nii.gz",
        "d/summary.csv.nii",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_volume_file(chest_volume(), tmp_path / name)
    assert list(rows(tmp_path)) == [
        f"scan-{path_hash(names[0])}",
        "Case 7",
        f"scan-{path_hash(names[1])}",
        f"volume-{path_hash('c/.nii.gz')}",
        f"quarantine-{path_hash(names[3])}",
        f"summary.csv-{path_hash(names[5])}",
    ]


def test_odd_names_of_volumes_still_name_a_folder_of_results(tmp_path: Path) -> None:
    """`...nii` would put results beside the output, a hidden or endless name could not be quarantined."""
    names = ["...nii", "..nii", ".hidden.nii", "a\nb.nii", f"{'患' * 70}.nii", os.fsdecode(b"caf\xe9.nii")]
    for name in names:
        write_volume_file(chest_volume(), tmp_path / "plain.nii")
        (tmp_path / "plain.nii").rename(tmp_path / name)
    ids = {item.files[0].name: item.id for item in scan(tmp_path)}
    stems = ["volume", "volume", "hidden", "a_b", "患" * 50, "caf_"]
    assert ids == {name: f"{stem}-{path_hash(name)}" for name, stem in zip(names, stems, strict=True)}
    assert [item.code for item in scan(tmp_path)] == ["ct_volume"] * len(names)


def test_a_volume_never_takes_the_name_of_a_series(tmp_path: Path) -> None:
    uid, datasets = series("one")
    save(datasets, tmp_path)
    write_volume_file(chest_volume(), tmp_path / f"{uid}.nii.gz")
    assert list(rows(tmp_path)) == [uid, f"{uid}-{path_hash(uid + '.nii.gz')}"]


def test_files_that_vanish_or_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert scan(tmp_path) == [
        SeriesItem(
            unreadable("gone.dcm"),
            "quarantined",
            "unreadable_file",
            "The system could not read the file or folder.",
            (tmp_path / "gone.dcm",),
            "file",
        )
    ]


@pytest.mark.realdata
def test_real_series(real_data: Path) -> None:
    items = scan(real_data / "ct/lidc-0063")
    accepted = [item for item in items if item.status == "accepted"]
    assert [(item.code, len(item.files)) for item in accepted] == [("ct_series", 133)]
    uid = (real_data / "ct/lidc-0063/seriesuids.csv").read_text().split()[0]
    assert accepted[0].id == uid
    assert {item.code for item in items if item.status != "accepted"} == {"not_an_image"}


@pytest.mark.realdata
def test_real_volumes(real_data: Path) -> None:
    accepted = [item for item in scan(real_data / "ct/chest") if item.status == "accepted"]
    assert len(accepted) == 6
    assert {item.code for item in accepted} == {"ct_volume"}
