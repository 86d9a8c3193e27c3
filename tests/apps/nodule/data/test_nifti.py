"""A cut NIfTI file is seen, which ITK itself fills with nothing."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from apps.nodule.data.nifti import is_whole

VALUES = np.random.default_rng(3).integers(-1000, 100, (5, 6, 7)).astype(np.int16)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_every_cut_is_seen(tmp_path: Path, suffix: str) -> None:
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(VALUES), str(whole))
    data = whole.read_bytes()
    assert is_whole(whole)
    ends = range(0, len(data), 13)
    assert len(ends) > 20
    for end in ends:
        cut.write_bytes(data[:end])
        assert not is_whole(cut), end


def test_two_gzip_members_make_one_file(tmp_path: Path) -> None:
    plain, joined = tmp_path / "a.nii", tmp_path / "b.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(VALUES), str(plain))
    data = plain.read_bytes()
    joined.write_bytes(gzip.compress(data[:400]) + gzip.compress(data[400:]))
    assert is_whole(joined)
    joined.write_bytes(gzip.compress(data[:400]) + gzip.compress(data[400:-1]))
    assert not is_whole(joined)


@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_2(tmp_path: Path, order: str) -> None:
    header = bytearray(544)
    struct.pack_into(f"{order}i", header, 0, 540)
    struct.pack_into(f"{order}h", header, 14, 16)
    struct.pack_into(f"{order}8q", header, 16, 3, 7, 6, 5, 1, 1, 1, 1)
    struct.pack_into(f"{order}q", header, 168, 544)
    path = tmp_path / "two.nii"
    path.write_bytes(bytes(header) + VALUES.tobytes())
    assert is_whole(path)
    path.write_bytes(bytes(header) + VALUES.tobytes()[:-1])
    assert not is_whole(path)


def test_what_is_no_nifti(tmp_path: Path) -> None:
    for name, data in (("a.nii", b"text" * 200), ("b.nii.gz", b"text" * 200), ("c.nii", b"")):
        (tmp_path / name).write_bytes(data)
        assert not is_whole(tmp_path / name), name
    assert not is_whole(tmp_path / "nowhere.nii")
