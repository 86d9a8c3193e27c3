"""NIfTI files as they are: cut, damaged, misnamed, without orientation, with two, with NaN."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from apps.nodule.data.nifti import is_compressed, read_nifti_header, read_nifti_voxels
from core.errors import ItemRefused

VALUES = np.random.default_rng(3).integers(-1000, 100, (5, 6, 7)).astype(np.int16)
TURN = np.linalg.qr(np.array([[0.98, -0.17, 0.1], [0.17, 0.985, 0.0], [-0.1, 0.02, 0.995]]))[0]


def write(path: Path, values: np.ndarray = VALUES) -> Path:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-10, -20, 30))
    image.SetDirection((TURN * np.sign(np.diag(TURN))).ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


def voxels(path: Path) -> np.ndarray:
    return read_nifti_voxels(path, read_nifti_header(path))


def code_of(path: Path) -> str:
    try:
        voxels(path)
    except ItemRefused as refusal:
        return refusal.code
    return "read"


def put(path: Path, at: int, form: str, *values: float) -> Path:
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, at, *values)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int32, np.float32, np.float64, np.uint16])
def test_voxels_and_positions_are_those_that_itk_reads(tmp_path: Path, suffix: str, dtype: type) -> None:
    path = write(tmp_path / f"a{suffix}", np.abs(VALUES).astype(dtype))
    header, image = read_nifti_header(path), sitk.ReadImage(str(path))
    np.testing.assert_array_equal(voxels(path), sitk.GetArrayFromImage(image))
    assert voxels(path).dtype == dtype
    assert header.notes == ()
    assert header.affine is not None
    for index in ((0, 0, 0), (6, 0, 0), (0, 5, 0), (6, 5, 4)):
        expected = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((header.affine @ (*index, 1))[:3], expected, atol=1e-4)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_every_cut_is_seen(tmp_path: Path, suffix: str) -> None:
    data = write(tmp_path / f"whole{suffix}").read_bytes()
    assert code_of(tmp_path / f"whole{suffix}") == "read"
    cut = tmp_path / f"cut{suffix}"
    ends = range(0, len(data), 13)
    assert len(ends) > 20
    for end in ends:
        cut.write_bytes(data[:end])
        assert code_of(cut) in ("truncated", "unreadable_volume"), end


@pytest.mark.parametrize("at", [-5, -8, -1, -4])
def test_a_wrong_checksum_is_refused(tmp_path: Path, at: int) -> None:
    path = write(tmp_path / "a.nii.gz")
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)
    assert code_of(path) == "damaged_file"


def test_a_damaged_stream_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii.gz")
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 2, len(data) - 8, 7):
        data[at] ^= 0xFF
    path.write_bytes(data)
    assert code_of(path) in ("damaged_file", "truncated", "unreadable_volume")


def test_two_gzip_members_make_one_file_and_bytes_after_it_do_not_matter(tmp_path: Path) -> None:
    data = write(tmp_path / "a.nii").read_bytes()
    joined = tmp_path / "b.nii.gz"
    joined.write_bytes(gzip.compress(data[:400]) + gzip.compress(data[400:]))
    assert code_of(joined) == "read"
    joined.write_bytes(gzip.compress(data[:400]) + gzip.compress(data[400:-1]))
    assert code_of(joined) == "truncated"
    joined.write_bytes(gzip.compress(data) + b"left over")
    assert code_of(joined) == "read"


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    plain, packed = write(tmp_path / "a.nii"), write(tmp_path / "b.nii.gz")
    assert (is_compressed(plain), is_compressed(packed)) == (False, True)
    plain.rename(tmp_path / "c.nii.gz")
    packed.rename(tmp_path / "d.nii")
    for name in ("c.nii.gz", "d.nii"):
        np.testing.assert_array_equal(voxels(tmp_path / name), VALUES)
        assert [code for code, _ in read_nifti_header(tmp_path / name).notes] == ["name_not_content"]


def test_what_is_not_a_number_stays_what_it_is(tmp_path: Path) -> None:
    values = VALUES.astype(np.float32)
    values[1, 2, 3], values[0, 0, 0] = np.nan, np.inf
    got = voxels(write(tmp_path / "a.nii.gz", values))
    np.testing.assert_array_equal(got, values)


@pytest.mark.parametrize(("slope", "inter"), [(2, -5), (1, 0), (0, 7), (float("nan"), 1), (0.5, 0.25)])
def test_values_are_scaled_as_the_header_says(tmp_path: Path, slope: float, inter: float) -> None:
    path = put(write(tmp_path / "a.nii"), 112, "<2f", slope, inter)
    plain = not slope or slope != slope
    np.testing.assert_array_equal(voxels(path), VALUES if plain else VALUES * slope + inter)


def test_no_orientation_is_reported(tmp_path: Path) -> None:
    path = put(write(tmp_path / "a.nii"), 252, "<2h", 0, 0)
    header = read_nifti_header(path)
    assert not header.is_oriented
    assert [code for code, _ in header.notes] == ["no_orientation"]
    np.testing.assert_allclose(header.affine, np.diag([0.7, 0.8, 2.5, 1]), atol=1e-6)
    np.testing.assert_allclose(sitk.ReadImage(str(path)).GetOrigin(), (0, 0, 0))


@pytest.mark.parametrize(
    ("codes", "shifted"), [((1, 1), True), ((1, 2), False), ((2, 1), True), ((0, 1), True)]
)
def test_two_placements_that_differ(tmp_path: Path, codes: tuple[int, int], shifted: bool) -> None:
    """The s-form is moved by 40 mm to the left; which of the two counts, and that they differ, is noted."""
    path = write(tmp_path / "a.nii")
    kept = read_nifti_header(path).affine
    put(put(path, 252, "<2h", *codes), 292, "<f", struct.unpack_from("<f", path.read_bytes(), 292)[0] - 40)
    header = read_nifti_header(path)
    assert kept is not None
    assert header.affine is not None
    np.testing.assert_allclose(header.affine[0, 3] - kept[0, 3], 40.0 if shifted else 0.0, atol=1e-4)
    entry = (
        "two_placements",
        "The file's s-form and q-form place it up to 40.00 mm apart; the scanner's own was used.",
    )
    assert header.notes == ((entry,) if codes[0] else ())


@pytest.mark.parametrize(("unit", "factor"), [(0, 1), (2, 1), (1, 1000), (3, 0.001)])
def test_units(tmp_path: Path, unit: int, factor: float) -> None:
    path = write(tmp_path / "a.nii")
    kept = read_nifti_header(path).affine
    assert kept is not None
    got = read_nifti_header(put(path, 123, "<B", unit)).affine
    assert got is not None
    np.testing.assert_allclose(got[:3], kept[:3] * factor, rtol=1e-6)


@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_2(tmp_path: Path, order: str) -> None:
    header = bytearray(544)
    struct.pack_into(f"{order}i8s", header, 0, 540, b"n+2\0\r\n\x1a\n")
    struct.pack_into(f"{order}2h", header, 12, 4, 16)
    struct.pack_into(f"{order}8q", header, 16, 3, 7, 6, 5, 1, 1, 1, 1)
    struct.pack_into(f"{order}4d", header, 104, 1, 0.7, 0.8, 2.5)
    struct.pack_into(f"{order}q", header, 168, 544)
    struct.pack_into(f"{order}2i", header, 344, 0, 1)
    struct.pack_into(f"{order}12d", header, 400, -0.7, 0, 0, 10, 0, -0.8, 0, 20, 0, 0, 2.5, 30)
    path = tmp_path / "two.nii"
    path.write_bytes(bytes(header) + VALUES.astype(f"{order}i2").tobytes())
    np.testing.assert_array_equal(voxels(path), VALUES)
    affine = read_nifti_header(path).affine
    assert affine is not None
    np.testing.assert_allclose(affine[:3, 3], (-10, -20, 30))
    np.testing.assert_allclose(np.diag(affine)[:3], (0.7, 0.8, 2.5))
    path.write_bytes(bytes(header) + VALUES.tobytes()[:-1])
    assert code_of(path) == "truncated"


def test_what_is_not_a_nifti(tmp_path: Path) -> None:
    for name, data in (("a.nii", b"text" * 200), ("b.nii.gz", b"text" * 200), ("c.nii", b"")):
        (tmp_path / name).write_bytes(data)
        assert code_of(tmp_path / name) == "unreadable_volume", name
    assert code_of(tmp_path / "nowhere.nii") == "unreadable_volume"


def test_impossible_geometry_is_none(tmp_path: Path) -> None:
    path = put(put(write(tmp_path / "a.nii"), 252, "<2h", 0, 1), 280, "<12f", *[0.0] * 12)
    assert read_nifti_header(path).affine is None
    put(path, 252, "<2h", 1, 1)
    assert read_nifti_header(path).affine is not None, "the q-form is whole"
