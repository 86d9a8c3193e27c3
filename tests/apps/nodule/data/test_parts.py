"""Series of several stacks: acquisitions, phases and reconstructions, each its own part where its anatomy is."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from apps.nodule.data.frames import Frame, frames_of
from apps.nodule.data.load import load
from apps.nodule.data.parts import Stack, interleaved_grids, offset_mm
from apps.nodule.data.series import SeriesItem, scan
from apps.nodule.data.volume import Volume
from tests.apps.nodule.data.dicom_samples import (
    assert_same,
    chest_series,
    chest_volume,
    enhanced_series,
    grid_affine,
    save,
    set_stored,
)

Mark = Callable[[int, int, Dataset], None]


def chest(extra_hu: int, first: int = 0, slices: int = 24, offset_mm: float = 0.0) -> Volume:
    """Slices `first` and on of one long chest; `extra_hu` separates the stacks."""
    whole = chest_volume(slices=60)
    affine = grid_affine()
    affine[2, 3] += 2.5 * first + offset_mm
    return Volume(whole.hu_DHW[first : first + slices] + np.int16(extra_hu), affine, "chest")


def stacked(volumes: list[Volume], mark: Mark) -> list[Dataset]:
    """One series of all volumes' slices, each marked with the number of its volume."""
    datasets = []
    for part, volume in enumerate(volumes):
        for d, dataset in enumerate(
            chest_series(volume, series_uid="1.2.3.4", study_uid="1.2.3", frame_of_reference_uid="1.2.5")
        ):
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{part}.{d}"
            mark(part, d, dataset)
            datasets.append(dataset)
    return datasets


def parts(folder: Path) -> list[tuple[SeriesItem, Volume]]:
    items = scan(folder)
    assert [item.status for item in items] == ["accepted"] * len(items), [item.sentence for item in items]
    return [(item, load(item)) for item in items]


def acquisition(part: int, d: int, dataset: Dataset) -> None:
    dataset.AcquisitionNumber = part + 1


def temporal(part: int, d: int, dataset: Dataset) -> None:
    dataset.AcquisitionNumber = 1
    dataset.TemporalPositionIdentifier = part + 1


def trigger(part: int, d: int, dataset: Dataset) -> None:
    dataset.TriggerTime = 300.0 * part + d % 3  # a heart does not beat evenly


def phase(part: int, d: int, dataset: Dataset) -> None:
    dataset.NominalPercentageOfCardiacPhase = 30 * part


def one_time(part: int, d: int, dataset: Dataset) -> None:
    dataset.ContentDate, dataset.ContentTime = "20200101", f"1200{10 * part:02d}"


def running_time(part: int, d: int, dataset: Dataset) -> None:
    dataset.ContentTime = f"12{part:02d}{d:02d}.5"


def downwards(part: int, d: int, dataset: Dataset) -> None:
    dataset.AcquisitionTime = f"12{part:02d}{59 - d if part else d:02d}"


def table_by_table(part: int, d: int, dataset: Dataset) -> None:
    dataset.AcquisitionTime = f"12{d:02d}{part:02d}"


def kernel(part: int, d: int, dataset: Dataset) -> None:
    dataset.ConvolutionKernel = ["B30f", "B50f", "B70f"][part]


def frame_of_reference(part: int, d: int, dataset: Dataset) -> None:
    dataset.FrameOfReferenceUID = f"1.2.3.9.{part}"


@pytest.mark.parametrize(
    "mark",
    [
        acquisition,
        temporal,
        trigger,
        phase,
        one_time,
        running_time,
        downwards,
        table_by_table,
        kernel,
        frame_of_reference,
    ],
    ids=lambda mark: mark.__name__,
)
@pytest.mark.parametrize("count", [2, 3])
def test_stacks_at_the_same_positions(tmp_path: Path, mark: Mark, count: int) -> None:
    volumes = [chest(3 * part) for part in range(count)]
    save(stacked(volumes, mark), tmp_path)
    got = parts(tmp_path)
    assert [item.id for item, _ in got] == [f"1.2.3.4-part-{n}" for n in range(1, count + 1)]
    for (item, volume), wanted in zip(got, volumes, strict=True):
        assert_same(volume, wanted)
        assert volume.uid == item.id
        assert len(item.files) == 24
        (code, sentence), *rest = volume.notes
        assert code == "series_split"
        assert sentence.startswith(f"The series holds {count} stacks of images, separated by ")
        assert rest == []


@pytest.mark.parametrize("mark", [acquisition, running_time, downwards])
def test_stacks_that_overlap_by_five_slices(tmp_path: Path, mark: Mark) -> None:
    volumes = [chest(0), chest(3, first=19)]
    save(stacked(volumes, mark), tmp_path)
    got = parts(tmp_path)
    assert len(got) == 2
    for (_, volume), wanted in zip(got, volumes, strict=True):
        assert_same(volume, wanted)


def nothing(part: int, d: int, dataset: Dataset) -> None:
    pass


@pytest.mark.parametrize("mark", [acquisition, running_time, kernel, nothing])
@pytest.mark.parametrize("first", [0, 2])
def test_interleaved_reconstructions(tmp_path: Path, mark: Mark, first: int) -> None:
    volumes = [chest(0), chest(3, first=first, offset_mm=0.4)]
    save(stacked(volumes, mark), tmp_path)
    got = parts(tmp_path)
    assert len(got) == 2
    for (_, volume), wanted in zip(got, volumes, strict=True):
        assert_same(volume, wanted)
        assert volume.notes[1] == ("interleaved", "The slices of the stacks interleave, 0.40 mm apart.")


def test_interleaved_grids_that_are_too_short_are_named(tmp_path: Path) -> None:
    save(stacked([chest(0, slices=18), chest(3, slices=18, offset_mm=0.4)], nothing), tmp_path)
    (item,) = scan(tmp_path)
    assert (item.status, item.code) == ("quarantined", "interleaved_grids")
    assert item.sentence == (
        "The slices form 2 interleaved grids, 0.40 mm apart, and not each is a whole volume."
    )


def test_a_part_that_is_too_short_is_a_row_of_its_own(tmp_path: Path) -> None:
    """Images that watched the contrast agent arrive, beside the scan."""
    save(stacked([chest(0, first=10, slices=3), chest(3)], acquisition), tmp_path)
    short, whole = scan(tmp_path)
    assert (short.id, short.status, short.code) == ("1.2.3.4-part-1", "skipped", "too_few_slices")
    assert (whole.id, whole.status) == ("1.2.3.4-part-2", "accepted")
    assert_same(load(whole), chest(3))


def test_a_part_with_a_gap_is_refused_alone(tmp_path: Path) -> None:
    datasets = stacked([chest(0), chest(3)], acquisition)
    del datasets[7]
    save(datasets, tmp_path)
    assert [(item.status, item.code) for item in scan(tmp_path)] == [
        ("quarantined", "missing_slices"),
        ("accepted", "ct_series"),
    ]


@pytest.mark.parametrize("mark", [running_time, temporal, one_time])
def test_a_gap_alone_never_separates(tmp_path: Path, mark: Mark) -> None:
    save(stacked([chest(0), chest(0, first=25)], mark), tmp_path)
    (item,) = scan(tmp_path)
    assert (item.status, item.code) == ("quarantined", "missing_slices")


def test_acquisition_numbers_in_one_regular_series_mean_nothing(tmp_path: Path) -> None:
    """Step and shoot: each turn of the gantry is an acquisition."""
    volume = chest(0)
    save(stacked([volume], lambda part, d, dataset: setattr(dataset, "AcquisitionNumber", d // 2)), tmp_path)
    ((item, got),) = parts(tmp_path)
    assert (item.id, got.notes) == ("1.2.3.4", ())
    assert_same(got, volume)


def test_phases_within_one_enhanced_object(tmp_path: Path) -> None:
    order = [*range(24), *range(24)]
    dataset = enhanced_series(chest_volume(), order)
    for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        content = Dataset()
        content.TemporalPositionIndex = 1 + number // 24
        group.FrameContentSequence = [content]
    save([dataset], tmp_path)
    got = parts(tmp_path)
    assert [item.id[-7:] for item, _ in got] == ["-part-1", "-part-2"]
    assert [volume.frames[3] for _, volume in got] == [(0, 3), (0, 27)]
    assert len(got[0][1].hu_DHW) == 24


def test_order_and_names_of_parts_do_not_depend_on_files(tmp_path: Path) -> None:
    datasets = stacked([chest(0), chest(3)], acquisition)
    save(datasets, tmp_path / "a")
    save(datasets[::-1], tmp_path / "b")
    for (one, first), (two, second) in zip(parts(tmp_path / "a"), parts(tmp_path / "b"), strict=True):
        assert one.id == two.id
        assert_same(first, second)


def test_a_frame_of_reference_on_every_slice(tmp_path: Path) -> None:
    datasets = chest_series()
    for dataset in datasets:
        dataset.FrameOfReferenceUID = generate_uid()
    save(datasets, tmp_path)
    ((_, volume),) = parts(tmp_path)
    assert_same(volume, chest_volume())
    sentence = (
        "The images name 24 frames of reference, nearly one each; their positions form one regular grid."
    )
    assert volume.notes == (("frames_of_reference", sentence),)
    del datasets[5]
    save(datasets, tmp_path / "gap")
    assert "missing_slices" in {item.code for item in scan(tmp_path / "gap")}


def test_a_frame_of_reference_that_some_slices_lack(tmp_path: Path) -> None:
    datasets = chest_series()
    for dataset in datasets[::3]:
        del dataset.FrameOfReferenceUID
    save(datasets, tmp_path)
    ((_, volume),) = parts(tmp_path)
    assert [code for code, _ in volume.notes] == ["frame_of_reference_absent"]


def frames_at(z: np.ndarray) -> list[Frame]:
    template = chest_series()[0]
    datasets = []
    for value in z:
        dataset = deepcopy(template)
        dataset.ImagePositionPatient = [0, 0, float(value)]
        datasets.append(dataset)
    return frames_of(datasets)


@pytest.mark.parametrize("offsets", [(0, 0.4), (0, 0.4, 0.8), (0, 1.0)])
def test_grids_are_found_by_their_offset(offsets: tuple[float, ...]) -> None:
    z = np.concatenate([np.arange(30) * 2.0 + offset for offset in offsets])
    grids = interleaved_grids(frames_at(np.sort(z)))
    assert [len(grid) for grid in grids] == ([30] * len(offsets) if offsets != (0, 1.0) else [60])


@pytest.mark.parametrize(
    "z",
    [np.arange(30) * 2.5, np.delete(np.arange(60) * 1.0, [7, 20, 33]), np.cumsum(np.arange(30) % 7 + 1.0)],
)
def test_what_is_one_grid_or_none_stays_whole(z: np.ndarray) -> None:
    assert len(interleaved_grids(frames_at(z))) == 1


def test_offset_of_stacks() -> None:
    one, near, far = (Stack(frames_at(np.arange(24) * 2.5 + offset)) for offset in (0, 0.4, 500))
    assert offset_mm([one, near]) == pytest.approx(0.4)
    assert offset_mm([one, far]) == 0


def test_copies_that_differ_in_nothing_but_pixels_are_refused_at_reading(tmp_path: Path) -> None:
    datasets = stacked([chest(0)], nothing)
    other = deepcopy(datasets[3])
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.99"
    set_stored(other, np.frombuffer(other.PixelData, np.uint16).reshape(32, 40) + np.uint16(1))
    save([*datasets, other], tmp_path)
    (item,) = scan(tmp_path)
    assert item.status == "accepted"
