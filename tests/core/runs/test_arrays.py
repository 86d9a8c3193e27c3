from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from core.runs.arrays import read_arrays, write_arrays

ARRAYS = {
    "a": np.arange(600, dtype=np.int16).reshape(20, 30),
    "flag": np.array(True),
    "none": np.zeros((0, 3)),
}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.npz"
    write_arrays(path, ARRAYS)
    result = read_arrays(path)
    assert result is not None
    assert list(result) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert result[name].dtype == array.dtype
        assert np.array_equal(result[name], array)
    assert [p.name for p in path.parent.iterdir()] == ["x.npz"]


def test_an_absent_or_damaged_file_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    assert read_arrays(path) is None
    assert read_arrays(tmp_path) is None
    write_arrays(path, ARRAYS)
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 3] ^= 255
    damaged = [b"", b"no archive", whole[: len(whole) // 2], whole[:-10], bytes(changed)]
    for data in damaged:
        path.write_bytes(data)
        assert read_arrays(path) is None
    np.save(tmp_path / "one.npy", ARRAYS["a"])
    assert read_arrays(tmp_path / "one.npy") is None


def test_a_full_disk_leaves_the_old_file(small_disk: Path) -> None:
    path = small_disk / "x.npz"
    write_arrays(path, ARRAYS)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"the disk of .*small-disk is full"):
        write_arrays(path, {"a": np.zeros(2**18)})
    assert path.read_bytes() == before
