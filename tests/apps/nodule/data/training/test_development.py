"""The scans that an export is judged on: made once, the same each time, of no training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apps.nodule.data.phantom.phantom import FIRST_TEST_SEED
from apps.nodule.data.training.development import FIRST_SEED, NODULES, development_scans

COARSE_MM = 4.0


def test_a_scan_is_made_once_and_read_again(tmp_path: Path) -> None:
    (made,) = development_scans(1, tmp_path, COARSE_MM)
    (path,) = tmp_path.iterdir()
    written = path.stat().st_mtime_ns
    (again,) = development_scans(1, tmp_path, COARSE_MM)
    assert path.stat().st_mtime_ns == written
    assert np.array_equal(made.box.grid.hu_DHW, again.box.grid.hu_DHW)
    assert np.array_equal(made.box.mask_DHW, again.box.mask_DHW)
    assert NODULES[0] <= len(made.diameters_mm_K) <= NODULES[1]
    index_K3 = made.box.grid.to_index(made.centres_mm_K3)
    assert ((index_K3 >= 0) & (index_K3 < made.box.mask_DHW.shape)).all()
    path.write_bytes(b"cut short")
    (remade,) = development_scans(1, tmp_path, COARSE_MM)
    assert np.array_equal(made.box.grid.hu_DHW, remade.box.grid.hu_DHW)


def test_no_training_sees_these_chests() -> None:
    assert FIRST_SEED > FIRST_TEST_SEED
