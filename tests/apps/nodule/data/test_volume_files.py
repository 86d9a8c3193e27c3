"""NIfTI, MetaImage and NRRD: the same patient space as DICOM, and every refusal."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from apps.nodule.data.quiet import quiet_libraries
from apps.nodule.data.volume import Volume
from apps.nodule.data.volume_files import (
    judge_volume,
    read_volume_file,
    to_image,
    write_volume_file,
)
from core.errors import ItemRefused
from tests.apps.nodule.data.dicom_samples import chest_volume, grid_affine

SUFFIXES = [".nii", ".nii.gz", ".mhd", ".mha", ".nrrd"]
TURN = np.array([[0.98, -0.17, 0.1], [0.17, 0.985, 0.0], [-0.1, 0.02, 0.995]])


def oblique() -> Volume:
    directions, _ = np.linalg.qr(TURN)
    directions *= np.sign(np.diag(directions))
    return chest_volume(grid_affine(directions[:, 0], directions[:, 1], directions[:, 2] * 2.5))


def refusal(path: Path) -> tuple[str, str]:
    with quiet_libraries(), pytest.raises(ItemRefused) as caught:
        read_volume_file(path, "x")
    return caught.value.code, caught.value.sentence


def write(path: Path, values: np.ndarray, vector: bool = False) -> Path:
    image = sitk.GetImageFromArray(values, isVector=vector)
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_written_and_read_back(tmp_path: Path, suffix: str) -> None:
    volume = oblique()
    write_volume_file(volume, tmp_path / f"a{suffix}")
    got = read_volume_file(tmp_path / f"a{suffix}", "a")
    np.testing.assert_array_equal(got.hu_DHW, volume.hu_DHW)
    assert got.hu_DHW.dtype == np.int16
    corners = np.array([(0, 0, 0), (23, 31, 39), (23, 0, 39)])
    np.testing.assert_allclose(got.to_world(corners), volume.to_world(corners), atol=1e-3)
    assert (got.uid, got.sources, got.notes) == ("a", (), ())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_path_whose_bytes_are_not_utf8(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9") / f"a{suffix}"
    path.parent.mkdir()
    write_volume_file(chest_volume(), path)
    odd = path.with_name(os.fsdecode(b"\xff") + suffix)
    odd.write_bytes(path.read_bytes())
    for readable in (path, odd):
        np.testing.assert_array_equal(read_volume_file(readable, "a").hu_DHW, chest_volume().hu_DHW)


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_the_same_bytes_twice(tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        write_volume_file(chest_volume(), tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("code", ["RAS", "LPI", "SPL", "AIR", "RSA"])
def test_a_file_stored_in_another_order_gives_the_same_volume(tmp_path: Path, code: str) -> None:
    volume = chest_volume()
    turned = sitk.DICOMOrient(to_image(volume), code)
    sitk.WriteImage(turned, str(tmp_path / "turned.nii.gz"))
    got = read_volume_file(tmp_path / "turned.nii.gz", "x")
    np.testing.assert_array_equal(got.hu_DHW, volume.hu_DHW)
    np.testing.assert_allclose(got.affine, volume.affine, atol=1e-3)
    # A result written like its source lies on the source's own grid, voxel by voxel.
    write_volume_file(got, tmp_path / "back.nii.gz", like=tmp_path / "turned.nii.gz")
    back = sitk.ReadImage(str(tmp_path / "back.nii.gz"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(turned))
    np.testing.assert_allclose(back.GetDirection(), turned.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(back.GetOrigin(), turned.GetOrigin(), atol=1e-3)


def test_a_sheared_grid_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="axes are sheared"):
        to_image(chest_volume(grid_affine(step=(0, 0.8, 2.4))))


def test_a_mask_may_be_written_too(tmp_path: Path) -> None:
    mask = (chest_volume().hu_DHW > -500).astype(np.uint8)
    write_volume_file(Volume(mask, grid_affine(), "mask"), tmp_path / "seg.nii.gz")
    image = sitk.ReadImage(str(tmp_path / "seg.nii.gz"))
    assert image.GetPixelID() == sitk.sitkUInt8
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), mask)


def test_whole_floats_become_int16_and_others_float32(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.nii.gz", chest_volume().hu_DHW.astype(np.float64))
    half = write(tmp_path / "half.nrrd", chest_volume().hu_DHW + 0.5)
    assert read_volume_file(whole, "x").hu_DHW.dtype == np.int16
    assert read_volume_file(half, "x").hu_DHW.dtype == np.float32


def test_filling_below_air_becomes_air(tmp_path: Path) -> None:
    hu_DHW = chest_volume().hu_DHW.copy()
    hu_DHW[:, 0] = -3024
    got = read_volume_file(write(tmp_path / "a.nii.gz", hu_DHW), "x").hu_DHW
    assert (got[:, 0] == -1024).all()
    np.testing.assert_array_equal(got[:, 1:], hu_DHW[:, 1:])


def test_a_fourth_axis_of_one_is_not_an_axis(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii.gz", chest_volume().hu_DHW[None])
    with quiet_libraries():
        assert read_volume_file(path, "x").hu_DHW.shape == (24, 32, 40)


NOT_HU = "The values are not Hounsfield units of a chest: they hold no air or no tissue."
UNREADABLE = "The volume file cannot be read."


def test_what_is_not_a_ct_is_refused(tmp_path: Path) -> None:
    hu_DHW = chest_volume().hu_DHW
    broken = hu_DHW.astype(np.float32)
    broken[3, 4, :5] = np.nan
    broken[0, 0, 0] = np.inf
    cases = {
        "unit.nii.gz": ((hu_DHW + 1024) / 2048, "values_not_hu", NOT_HU),
        "bytes.nrrd": (((hu_DHW + 1024) // 16).astype(np.uint8), "values_not_hu", NOT_HU),
        "nan.mha": (broken, "volume_not_finite", "Voxels that are not finite numbers: 6."),
        "movie.nii.gz": (
            np.stack([hu_DHW] * 3),
            "volume_axes",
            "The volume has 4 axes; three are processed.",
        ),
        "flat.nrrd": (hu_DHW[0], "volume_axes", "The volume has 2 axes; three are processed."),
    }
    for name, (values, code, sentence) in cases.items():
        assert refusal(write(tmp_path / name, values)) == (code, sentence), name
    colour = write(tmp_path / "colour.nrrd", np.stack([hu_DHW] * 3, axis=-1), vector=True)
    assert refusal(colour) == ("volume_colour", "The voxels have 3 channels; one is processed.")


def test_broken_files_are_refused_in_silence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    codes = {}
    for suffix in SUFFIXES:
        whole = tmp_path / f"whole{suffix}"
        write_volume_file(chest_volume(), whole)
        data = whole.read_bytes()
        cut, junk = tmp_path / f"cut{suffix}", tmp_path / f"junk{suffix}"
        cut.write_bytes(data[: len(data) * 2 // 3])
        junk.write_bytes(b"this is text\n" * 60)
        codes[suffix] = (refusal(cut)[0], refusal(junk))
    assert capfd.readouterr() == ("", "")
    unreadable = ("unreadable_volume", UNREADABLE)
    assert codes == {
        ".nii": ("truncated", unreadable),
        ".nii.gz": ("truncated", unreadable),
        ".mhd": ("unreadable_volume", unreadable),
        ".mha": ("unreadable_volume", unreadable),
        ".nrrd": ("unreadable_volume", unreadable),
    }


def test_voxels_are_never_fetched_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_volume_file(chest_volume(), tmp_path / "a.mhd")
    text = (tmp_path / "a.mhd").read_text().replace("a.zraw", "../a.zraw")
    (tmp_path / "in/b.mhd").write_text(text)
    assert refusal(tmp_path / "in/b.mhd") == (
        "voxels_outside",
        "The volume's header names voxels outside its own folder.",
    )


def test_rules_for_size_measure_along_the_body(tmp_path: Path) -> None:
    volume = chest_volume()
    write_volume_file(volume, tmp_path / "chest.nii.gz")
    write_volume_file(Volume(volume.hu_DHW[:12], volume.affine, "x"), tmp_path / "thin.nii.gz")
    sagittal = sitk.DICOMOrient(to_image(volume), "PSL")
    sitk.WriteImage(sagittal, str(tmp_path / "sagittal.nii.gz"))
    judged = [judge_volume(tmp_path / f"{name}.nii.gz")[0] for name in ("chest", "thin", "sagittal")]
    assert [reason.sentence for reason in judged] == [
        "A CT volume of 24 slices.",
        "The series has 12 slices; a chest needs at least 20.",
        "A CT volume of 24 slices.",
    ]
    assert [reason.status for reason in judged] == ["accepted", "skipped", "accepted"]


def nifti(path: Path, affine_ras: np.ndarray | None, values: np.ndarray) -> Path:
    """A NIfTI-1 file with this s-form, or with neither form, written by hand."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *values.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4 if values.dtype == np.int16 else 16, 8 * values.itemsize)
    struct.pack_into("<4f", header, 76, 1, 0.7, 0.8, 2.5)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    if affine_ras is not None:
        struct.pack_into("<2h", header, 252, 0, 1)
        struct.pack_into("<12f", header, 280, *affine_ras[:3].ravel())
    struct.pack_into("<4s", header, 344, b"n+1\0")
    path.write_bytes(bytes(header) + values.tobytes())
    return path


def ras(affine: np.ndarray) -> np.ndarray:
    """Index (d, h, w) to LPS as index (x, y, z) to RAS."""
    return np.diag([-1.0, -1, 1, 1]) @ affine[:, [2, 1, 0, 3]]


def read(path: Path) -> Volume:
    with quiet_libraries():
        reason, layout = judge_volume(path)
        assert reason.status == "accepted", reason.sentence
        return read_volume_file(path, "x", layout)


def test_a_sheared_nifti_lies_where_the_sheared_dicom_lies(tmp_path: Path) -> None:
    wanted = chest_volume(grid_affine(step=(0, 0.3, 2.4)))
    got = read(nifti(tmp_path / "a.nii", ras(wanted.affine), wanted.hu_DHW))
    np.testing.assert_array_equal(got.hu_DHW, wanted.hu_DHW)
    np.testing.assert_allclose(got.affine, wanted.affine, atol=1e-5)
    assert [code for code, _ in got.notes] == ["sheared"]


def test_a_shear_beyond_the_limit_is_refused_as_such(tmp_path: Path) -> None:
    wanted = chest_volume(grid_affine(step=(0, 2.4, 2.4)))
    path = nifti(tmp_path / "a.nii", ras(wanted.affine), wanted.hu_DHW)
    reason, layout = judge_volume(path)
    assert (reason.status, reason.code, layout) == ("quarantined", "shear_too_large", None)


def test_noise_in_the_directions_of_a_nifti(tmp_path: Path) -> None:
    wanted = chest_volume()
    affine = ras(wanted.affine)
    affine[:3, :3] *= 1 + 2e-4 * np.array([[0, 1, -1], [1, 0, 1], [-1, 1, 0]])
    affine[:3, :3] += 2e-4 * np.array([[0, 1, -1], [1, 0, 1], [-1, 1, 0]])
    got = read(nifti(tmp_path / "a.nii", affine, wanted.hu_DHW))
    assert [code for code, _ in got.notes] == ["directions_straightened"]
    corners = np.array([(0, 0, 0), (23, 31, 39)])
    np.testing.assert_allclose(got.to_world(corners), wanted.to_world(corners), atol=0.05)


def test_a_volume_without_orientation_says_so(tmp_path: Path) -> None:
    hu_DHW = chest_volume().hu_DHW
    paths = [nifti(tmp_path / "a.nii", None, hu_DHW)]
    write_volume_file(chest_volume(), tmp_path / "b.mhd")
    text = (tmp_path / "b.mhd").read_text()
    (tmp_path / "b.mhd").write_text(
        "".join(x for x in text.splitlines(True) if not x.startswith("TransformMatrix"))
    )
    write_volume_file(chest_volume(), tmp_path / "c.nrrd")
    head, _, data = (tmp_path / "c.nrrd").read_bytes().partition(b"\n\n")
    lines = [x for x in head.splitlines() if not x.startswith((b"space", b"kinds"))]
    (tmp_path / "c.nrrd").write_bytes(b"\n".join([*lines, b"spacings: 0.7 0.8 2.5"]) + b"\n\n" + data)
    for path in [*paths, tmp_path / "b.mhd", tmp_path / "c.nrrd"]:
        got = read(path)
        assert not got.is_oriented, path
        assert [code for code, _ in got.notes] == ["no_orientation"], path
        np.testing.assert_array_equal(got.hu_DHW, hu_DHW)
    for suffix in (".nii.gz", ".mhd", ".nrrd"):
        write_volume_file(chest_volume(), tmp_path / f"good{suffix}")
        assert read(tmp_path / f"good{suffix}").is_oriented, suffix


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_not_a_number_is_refused_in_every_format(tmp_path: Path, suffix: str) -> None:
    values = chest_volume().hu_DHW.astype(np.float32)
    values[3, 4, 5], values[3, 4, 6] = np.nan, np.inf
    assert refusal(write(tmp_path / f"a{suffix}", values)) == (
        "volume_not_finite",
        "Voxels that are not finite numbers: 2.",
    )


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".mhd", ".nrrd"])
def test_a_wrong_checksum_is_refused_in_every_format(tmp_path: Path, suffix: str) -> None:
    write_volume_file(chest_volume(), tmp_path / f"a{suffix}")
    path = tmp_path / ("a.zraw" if suffix == ".mhd" else f"a{suffix}")
    data = bytearray(path.read_bytes())
    data[-2 if suffix in (".mha", ".mhd") else -6] ^= 0xFF
    path.write_bytes(data)
    assert refusal(tmp_path / f"a{suffix}")[0] in ("damaged_file", "unreadable_volume")


def test_impossible_geometry_is_refused(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", np.zeros((4, 4)), chest_volume().hu_DHW)
    assert refusal(path) == ("volume_geometry", "The volume's axes or spacing are missing or impossible.")
