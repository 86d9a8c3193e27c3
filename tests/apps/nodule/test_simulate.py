from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apps.nodule.config import NoduleConfig, SimulateConfig
from apps.nodule.data.load import load
from apps.nodule.data.luna16 import read_annotations, read_seriesuids
from apps.nodule.data.phantom.contours import load_shapes
from apps.nodule.data.series import scan
from apps.nodule.data.volume import Volume
from apps.nodule.simulate import SUFFIXES, run, simulate, spec_of, write_scan
from core.errors import InputError
from core.runs.folder import Run

SETTINGS = SimulateConfig(count=1, nodules=2, spacing_mm=6.0, pixel_mm=2.0, kernel="soft", format="nifti")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulate")
    record = Run(folder / "run")
    config = NoduleConfig(stage="simulate", seed=100_003, output=str(folder / "out"), simulate=SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        # A coarse anatomy is made in seconds.
        coarse = replace(spec_of(SETTINGS, 100_003), anatomy_mm=4.0)
        patch.setattr("apps.nodule.simulate.spec_of", lambda settings, seed: coarse)
        assert run(config, record) == 0
    record.close()
    return folder / "out"


def test_a_scan_and_its_truth_are_written(output: Path) -> None:
    uids = read_seriesuids(output / "seriesuids.csv")
    truth = read_annotations(output / "annotations.csv")
    assert len(uids) == 1
    assert truth.series == uids * 2
    items = [item for item in scan(output / "scans") if item.status == "accepted"]
    assert [item.id for item in items] == list(uids)
    volume = load(items[0])
    for centre, diameter in zip(truth.centre_K3, truth.diameter_K, strict=True):
        index = np.rint(volume.to_index(centre[None])[0]).astype(int)
        assert all(0 <= i < n for i, n in zip(index, volume.hu_DHW.shape, strict=True))
        assert 3 < diameter < 26
    with (output / "nodules.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["seriesuid"] for row in rows] == list(truth.series)
    assert {row["placement"] for row in rows} <= {"isolated", "juxta_pleural", "vessel_attached"}
    assert [float(row["coordX"]) for row in rows] == truth.centre_K3[:, 0].tolist()


def test_the_spec_says_what_the_settings_say() -> None:
    spec = spec_of(SimulateConfig(nodules=4, spacing_mm=2.5, pixel_mm=0.8, dose=0.3, kernel="sharp"), 7)
    assert (spec.nodules, spec.slice_mm, spec.pixel_mm) == ((4, 4), 2.5, 0.8)
    assert (spec.dose, spec.kernel, spec.split) == (0.3, "sharp", "train")
    assert spec_of(SimulateConfig(), 100_000).split == "test"
    assert len(load_shapes("test")) > 0


def test_after_the_largest_seed_comes_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.nodule.simulate.make_phantom", lambda seed, _: seed)
    made = simulate(SimulateConfig(count=3), 2**32 - 2)
    assert list(made) == [(seed, seed) for seed in (2**32 - 2, 2**32 - 1, 0)]


@pytest.mark.parametrize("file_format", ["dicom", *SUFFIXES])
def test_each_format_is_read_back_as_it_was(tmp_path: Path, file_format: str) -> None:
    affine = np.array([[0, 0, 0.7, -3], [0, 0.7, 0, 5], [2, 0, 0, 40], [0, 0, 0, 1]])
    hu = np.random.default_rng(0).integers(-1000, 400, (80, 64, 64)).astype(np.int16)
    volume = Volume(hu, affine, "2.25.123")
    write_scan(volume, tmp_path, SimulateConfig(format=file_format), 3)
    items = [item for item in scan(tmp_path) if item.status == "accepted"]
    assert [item.id for item in items] == ["2.25.123"]
    again = load(items[0])
    assert np.array_equal(again.hu_DHW, hu)
    assert np.allclose(again.affine, affine, atol=1e-5)


def test_an_output_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    record = Run(tmp_path / "run")
    config = NoduleConfig(stage="simulate", seed=1, output=str(tmp_path / "file" / "out"), simulate=SETTINGS)
    with pytest.raises(InputError, match="lies below a file, not a folder"):
        run(config, record)
    record.close()
