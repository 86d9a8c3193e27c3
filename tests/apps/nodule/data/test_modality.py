"""From stored values to HU: slope and intercept, lookup tables, and the name that a header gives the values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataelem import DataElement

from apps.nodule.data.frames import frames_of
from apps.nodule.data.load import load
from apps.nodule.data.modality import Rescale, Table, is_named_hounsfield, rescale_of, rescales_of
from apps.nodule.data.series import scan
from core.errors import ItemRefused
from tests.apps.nodule.data.dicom_samples import (
    assert_same,
    chest_series,
    chest_volume,
    enhanced_series,
    only,
    save,
    set_stored,
)

PLAIN = Rescale(1.0, -1024.0)


def test_rescale_of_each_frame() -> None:
    enhanced = enhanced_series(chest_volume(), [3, 7])
    assert [rescale_of(enhanced, index) for index in (0, 1)] == [Rescale(2.0, -1027.0), Rescale(2.0, -1031.0)]
    assert rescale_of(chest_series()[0], 0) == PLAIN
    assert PLAIN.is_whole
    assert not Rescale(1.0, 0.5).is_whole


@pytest.mark.parametrize(("slope", "intercept"), [("0", "0"), ("-1", "0"), ("1e9", "0"), ("1", "1e9"), ("nan", "0"),
                                                  (None, "0"), ("1", None), ("", "0")])  # fmt: skip
def test_impossible_rescale_is_refused(slope: str | None, intercept: str | None) -> None:
    datasets = chest_series()[:3]
    frames = frames_of(datasets)
    for keyword, value in (("RescaleSlope", slope), ("RescaleIntercept", intercept)):
        del datasets[1][keyword]
        if value is not None:
            setattr(datasets[1], keyword, float(value) if value else None)
    with pytest.raises(ItemRefused) as caught:
        rescales_of(datasets, frames)
    assert caught.value.code == "bad_rescale"
    assert caught.value.sentence == "The rescale to Hounsfield units is missing or impossible, images: 1."


def with_table(values: np.ndarray, first: int = 0, vr: str = "US", bits: int = 16) -> list[Dataset]:
    """The chest as indices into a table, in place of slope and intercept."""
    datasets = chest_series()
    for dataset, hu_HW in zip(datasets, chest_volume().hu_DHW, strict=True):
        del dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType
        item = Dataset()
        item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [len(values) % 65536, first, bits])
        item.ModalityLUTType = "HU"
        data = values.astype("<u2")
        item["LUTData"] = DataElement(0x00283006, vr, data.tobytes() if vr == "OW" else data.tolist())
        dataset.ModalityLUTSequence = [item]
        set_stored(dataset, (hu_HW.astype(int) + 1100 + first).astype(np.uint16 if first >= 0 else np.int16))
    return datasets


@pytest.mark.parametrize("vr", ["US", "OW"])
@pytest.mark.parametrize("first", [0, 7, -500])
def test_a_modality_lookup_table_is_applied(tmp_path: Path, vr: str, first: int) -> None:
    save(with_table(np.arange(4096) - 1100, first, vr), tmp_path)
    volume = load(only(tmp_path))
    assert_same(volume, chest_volume())
    assert volume.hu_DHW.dtype == np.int16
    assert volume.notes == ()


def test_beyond_its_ends_a_table_keeps_its_end_values() -> None:
    table = Table(np.array([-1000, 0, 50]), 10)
    assert table.apply(np.array([[0, 10, 11, 12, 65535]], np.uint16)).tolist() == [[-1000, -1000, 0, 50, 50]]


@pytest.mark.parametrize("spoil", ["LUTDescriptor", "LUTData", "short"])
def test_a_broken_table_is_refused(tmp_path: Path, spoil: str) -> None:
    datasets = with_table(np.arange(4096) - 1100)
    for dataset in datasets[3:5]:
        item = dataset.ModalityLUTSequence[0]
        if spoil == "short":
            item.LUTData = item.LUTData[:100]
        else:
            delattr(item, spoil)
    save(datasets, tmp_path)
    (item,) = scan(tmp_path)
    assert item.code == "bad_rescale"
    assert item.sentence.endswith("images: 2.")


WORDS = [
    "Houndsfield Unit",
    "HOUNSFIELD UNIT",
    "HU normal",
    "HU_MOD",
    "hounsfield",
    "Hounsfield",
    "H",
    "OD",
    "PCT",
]


@pytest.mark.parametrize("word", WORDS)
def test_the_values_decide_and_the_word_is_a_note(tmp_path: Path, word: str) -> None:
    datasets = chest_series()
    for dataset in datasets:
        dataset.RescaleType = word
    save(datasets, tmp_path)
    volume = load(only(tmp_path))
    assert_same(volume, chest_volume())
    assert [code for code, _ in volume.notes] == ["rescale_type"]


@pytest.mark.parametrize("word", ["HU", " hu ", "Hu", "US", "", None])
def test_plain_names_need_no_note(tmp_path: Path, word: str | None) -> None:
    datasets = chest_series()
    for dataset in datasets:
        dataset.RescaleType = word
    save(datasets, tmp_path)
    assert load(only(tmp_path)).notes == ()


@pytest.mark.parametrize("word", ["OD", "MGML", "Z_EFF", "ED", "HU_MOD", "Houndsfield Unit", "anything"])
def test_another_quantity_stays_skipped(tmp_path: Path, word: str) -> None:
    datasets = chest_series()
    for dataset, hu_HW in zip(datasets, chest_volume().hu_DHW, strict=True):
        dataset.RescaleType = word
        set_stored(dataset, ((hu_HW.astype(int) + 1100) // 10 + 1024).astype(np.uint16))
    save(datasets, tmp_path)
    (item,) = scan(tmp_path)
    assert (item.status, item.code) == ("skipped", "not_hounsfield")


def test_the_word_of_an_enhanced_object(tmp_path: Path) -> None:
    dataset = enhanced_series(chest_volume())
    assert is_named_hounsfield(dataset, 0)
    for group in dataset.PerFrameFunctionalGroupsSequence:
        group.PixelValueTransformationSequence[0].RescaleType = "HU_MOD"
    assert not is_named_hounsfield(dataset, 3)
    save([dataset], tmp_path)
    assert [code for code, _ in load(only(tmp_path)).notes] == ["rescale_type"]
