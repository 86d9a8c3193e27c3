"""Stored values to Hounsfield units, each case against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from apps.nodule.data.modality import Rescale
from apps.nodule.data.pixels import (
    is_chest_scale,
    is_padding_tissue,
    looks_like_hounsfield,
    padding_range,
    stored_frames,
    to_hounsfield,
    whole_number,
)
from core.errors import ItemRefused
from tests.apps.nodule.data.dicom_samples import chest_series, chest_volume, enhanced_series, set_stored

PLAIN = Rescale(1.0, -1024.0)


def pixel_module(
    bits_stored: int = 16, signed: bool = False, high_bit: int | None = None, **more: int
) -> Dataset:
    dataset = Dataset()
    dataset.BitsAllocated, dataset.BitsStored = 16, bits_stored
    dataset.HighBit = bits_stored - 1 if high_bit is None else high_bit
    dataset.PixelRepresentation = int(signed)
    for keyword, value in more.items():
        dataset.add_new(keyword, "SS" if value < 0 else "US", value)
    return dataset


@settings(max_examples=40, deadline=None)
@given(hu=st.lists(st.integers(-1024, 3071), min_size=1, max_size=8), bits=st.sampled_from([12, 13, 16]))
def test_unsigned_and_signed_storage_give_the_same(hu: list[int], bits: int) -> None:
    wanted = np.array([hu], np.int16)
    unsigned = (wanted + 1024).astype(np.uint16)
    got = to_hounsfield(unsigned, pixel_module(bits), PLAIN)
    np.testing.assert_array_equal(got, wanted)
    if max(hu) < 2 ** (bits - 1) and min(hu) >= -(2 ** (bits - 1)):
        narrow = (
            (wanted.astype(np.int32) & (2**bits - 1)).astype(np.uint16).view(np.int16)
        )  # the sign bit is bit BitsStored - 1
        got = to_hounsfield(narrow, pixel_module(bits, signed=True), Rescale(1.0, 0.0))
        np.testing.assert_array_equal(got, wanted)


def test_bits_outside_the_stored_ones_are_not_a_value() -> None:
    # 12 bits that end at bit 13, overlay bits above and rubbish below: PS3.5 8.1.1.
    value = 0b1100_0000_0000_0011 | (1500 << 2)
    got = to_hounsfield(np.array([[value]], np.uint16), pixel_module(12, high_bit=13), PLAIN)
    assert got.tolist() == [[1500 - 1024]]


def test_a_fractional_slope_gives_float() -> None:
    got = to_hounsfield(np.array([[0, 1001]], np.uint16), pixel_module(), Rescale(0.5, -1000.25))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [[-1000.25, -499.75]])


@pytest.mark.parametrize(
    ("rescale", "dtype"), [(Rescale(1.0, 0.0), np.int16), (Rescale(1.0, 0.5), np.float32)]
)
def test_filling_below_air_becomes_air(rescale: Rescale, dtype: type) -> None:
    got = to_hounsfield(np.array([[-3024, -2048, -1025]], np.int16), pixel_module(signed=True), rescale)
    assert got.dtype == dtype
    assert got.tolist() == [[-1024, -1024, -1024]]


def test_metal_is_clipped_and_never_wraps() -> None:
    got = to_hounsfield(np.array([[0, 65535]], np.uint16), pixel_module(), Rescale(2.0, -1024.0))
    assert got.dtype == np.int16
    assert got.tolist() == [[-1024, 32767]]


@pytest.mark.parametrize(
    ("declared", "ends"),
    [
        ({"PixelPaddingValue": -2000}, (-2000, -2000)),
        ({"PixelPaddingValue": 63536}, (-2000, -2000)),  # -2000 written as US
        ({"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1900}, (-2000, -1900)),
        ({"PixelPaddingValue": -1900, "PixelPaddingRangeLimit": 63536}, (-2000, -1900)),
    ],
)
def test_padding_becomes_air(declared: dict[str, int], ends: tuple[int, int]) -> None:
    dataset = pixel_module(signed=True, **declared)
    assert padding_range(dataset) == ends
    stored = np.array([[-2000, -1950, -1900, -500, 100]], np.int16)
    padded = [ends[0] <= value <= ends[1] for value in stored[0]]
    expected = [-1024 if pad else value + 1000 for pad, value in zip(padded, stored[0], strict=True)]
    assert to_hounsfield(stored, dataset, Rescale(1.0, 1000.0)).tolist() == [expected]
    assert padded[0]


def test_padding_beyond_the_stored_bits_is_found() -> None:
    dataset = pixel_module(12, PixelPaddingValue=63536)
    stored = np.array([[63536, 2096]], np.uint16)  # the same low 12 bits
    assert to_hounsfield(stored, dataset, PLAIN).tolist() == [[-1024, 2096 - 1024]]


def test_padding_that_is_tissue_is_not_believed() -> None:
    dataset = pixel_module(signed=True, PixelPaddingValue=0)
    assert is_padding_tissue(dataset, Rescale(1.0, 0.0))
    assert to_hounsfield(np.array([[0]], np.int16), dataset, Rescale(1.0, 0.0)).tolist() == [[0]]
    assert not is_padding_tissue(dataset, PLAIN)
    assert not is_padding_tissue(pixel_module(), PLAIN)


@pytest.mark.parametrize("signed", [False, True])
def test_inverted_values_are_turned_back(signed: bool) -> None:
    hu = np.array([[-1000, 0, 500]], np.int16)
    stored = (-1 - (hu + 0)) if signed else (4095 - (hu + 1024)).astype(np.uint16)
    rescale = Rescale(1.0, 0.0) if signed else PLAIN
    dataset = pixel_module(16 if signed else 12, signed=signed)
    assert to_hounsfield(stored, dataset, rescale, inverted=True).tolist() == hu.tolist()


def test_stored_frames_come_in_the_order_wanted() -> None:
    enhanced = enhanced_series(chest_volume())
    whole = enhanced.pixel_array
    got = list(stored_frames(enhanced, [4, 0, 23]))
    assert len(got) == 3
    np.testing.assert_array_equal(np.stack(got), whole[[4, 0, 23]])


@pytest.mark.filterwarnings("ignore")
def test_pixels_of_a_wrong_length_or_type_are_refused() -> None:
    short, colour, wide = chest_series()[:3]
    short.PixelData = short.PixelData[:-2]
    colour.SamplesPerPixel = 3
    wide.BitsAllocated = 64
    codes = []
    for dataset in (short, colour, wide):
        with pytest.raises(ItemRefused) as caught:
            list(stored_frames(dataset, [0]))
        codes.append(caught.value.code)
    assert codes == ["undecodable", "unsupported_pixels", "unsupported_pixels"]


def test_eight_bits(tmp_path: object) -> None:
    dataset = chest_series()[0]
    dataset.BitsAllocated = 8
    stored = np.arange(32 * 40, dtype=np.uint32).reshape(32, 40).astype(np.uint8)
    set_stored(dataset, stored, bits=8)
    got = to_hounsfield(next(stored_frames(dataset, [0])), dataset, Rescale(8.0, -1024.0))
    np.testing.assert_array_equal(got, stored.astype(int) * 8 - 1024)


def test_what_resembles_a_chest() -> None:
    chest = chest_volume().hu_DHW
    assert looks_like_hounsfield(chest)
    assert looks_like_hounsfield(chest.astype(np.float32))
    assert not looks_like_hounsfield(2047 - chest)
    assert not looks_like_hounsfield(chest + 1024)
    assert not looks_like_hounsfield(np.zeros_like(chest))
    assert not looks_like_hounsfield(np.full_like(chest, -1000))


def test_the_scale_of_a_chest_counts_no_filling() -> None:
    chest = chest_volume().hu_DHW
    assert is_chest_scale(chest)
    density = np.where(chest < -500, -1024, chest // 10)  # air is filling, nothing lies where lung does
    assert looks_like_hounsfield(density)
    assert not is_chest_scale(density)
    assert not is_chest_scale(chest + 1024)


@pytest.mark.parametrize("value", [None, [1, 2], 1.5])
def test_what_is_not_a_whole_number_counts_as_absent(value: object) -> None:
    dataset = Dataset()
    if value is not None:
        dataset.add_new("BitsStored", "US" if value != 1.5 else "FD", value)
    assert whole_number(dataset, "BitsStored") is None
    assert whole_number(pixel_module(12), "BitsStored") == 12
