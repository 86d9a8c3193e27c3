"""The plan of a series: what `load` needs of the headers, each of which is read once."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from apps.nodule.data import headers
from apps.nodule.data.load import load
from apps.nodule.data.plan import Plan
from apps.nodule.data.series import scan
from tests.apps.nodule.data.dicom_samples import chest_series, chest_volume, enhanced_series, only, save


def plan_in(folder: Path) -> Plan:
    plan = only(folder).plan
    assert isinstance(plan, Plan)
    return plan


def test_objects_and_images_are_numbered_by_instance(tmp_path: Path) -> None:
    paths = save(reversed(chest_series()), tmp_path)
    plan = plan_in(tmp_path)
    assert {item.path for item in plan.objects} == set(paths)
    assert plan.images == tuple((number, 0) for number in range(24))
    uids = [pydicom.dcmread(item.path).SOPInstanceUID for item in plan.objects]
    assert uids == sorted(uids)
    np.testing.assert_allclose(plan.grid.affine, chest_volume().affine)
    assert (plan.may_be_inverted, plan.notes) == (False, ())


def test_frames_of_one_object(tmp_path: Path) -> None:
    save([enhanced_series(chest_volume())], tmp_path)
    plan = plan_in(tmp_path)
    assert len(plan.objects) == 1
    assert sorted(plan.images) == [(0, frame) for frame in range(24)]


def test_rescales_that_are_equal_are_kept_once(tmp_path: Path) -> None:
    datasets = chest_series()
    datasets[3].RescaleIntercept = "-1000"
    save(datasets, tmp_path)
    plan = plan_in(tmp_path)
    assert len(plan.rescales) == 24
    assert sorted({rescale.intercept for rescale in plan.rescales}) == [-1024, -1000]  # type: ignore[union-attr]
    assert len({id(rescale) for rescale in plan.rescales}) == 2


def test_repeated_images_and_padding_are_noted(tmp_path: Path) -> None:
    datasets = chest_series()
    for dataset in datasets:
        dataset.PixelPaddingValue = 1064
    save(datasets, tmp_path)
    save(datasets[:2], tmp_path, prefix="again")
    assert [note.code for note in plan_in(tmp_path).notes] == ["duplicates_dropped", "padding_ignored"]


def test_each_header_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(chest_series(), tmp_path)
    read: list[bool] = []

    def counted(*arguments: Any, **options: Any) -> Dataset:
        read.append("stop_before_pixels" in options)
        return pydicom.dcmread(*arguments, **options)

    monkeypatch.setattr(headers, "dcmread", counted)
    (item,) = scan(tmp_path)
    assert read == [True] * 24, "scan reads headers alone"
    load(item)
    assert read[24:] == [False] * 24, "load reads whole objects alone"


def test_a_plan_holds_no_header(tmp_path: Path) -> None:
    save(chest_series(), tmp_path)
    item = only(tmp_path)
    gc.collect()
    held: list[Any] = [item.plan]
    seen: set[int] = set()
    while held:
        one = held.pop()
        assert not isinstance(one, Dataset)
        if id(one) not in seen and not isinstance(one, (type, str, Path)):
            seen.add(id(one))
            held += [other for other in gc.get_referents(one) if not isinstance(other, type)]
    assert len(seen) > 24
