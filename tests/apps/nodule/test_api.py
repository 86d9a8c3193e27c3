"""The Python API: its names, its examples, and the same findings as the command to the last digit."""

from __future__ import annotations

import csv
import doctest
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import apps.nodule
from apps.nodule import Finding, InputError, SeriesResult, Volume, detect, detect_array, load_detector
from apps.nodule.models.detector import Detector
from apps.nodule.report.tables import write_nodules
from core.errors import ConfigError
from pipelines.nodule import main
from tests.apps.nodule import inputs
from tests.apps.nodule.data.dicom_samples import chest_series, chest_volume, grid_affine, save

NAMES = [
    "Candidate", "ConfigError", "Detector", "Finding", "InputError", "SeriesResult", "Volume", "detect",
    "detect_array", "load_detector",
]  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that has learned nothing and marks much."""
    return inputs.fresh_weights(tmp_path_factory.mktemp("weights") / "w.safetensors")


@pytest.fixture(scope="module")
def detector(weights: Path) -> Detector:
    return load_detector(weights, device="cpu")


def test_the_names_are_frozen_and_documented() -> None:
    assert apps.nodule.__all__ == NAMES
    for name in NAMES:
        assert (getattr(apps.nodule, name).__doc__ or "").strip(), name


def test_the_import_is_light() -> None:
    code = "import sys, apps.nodule; print({'torch', 'numpy', 'pydicom', 'hydra'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_each_name_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "detect":
        save(chest_series(), tmp_path / "scans")
    monkeypatch.chdir(tmp_path)
    public = getattr(apps.nodule, name)
    # Names of the module that defines the object may be used in its example.
    module = sys.modules[public.__module__]
    (example,) = doctest.DocTestFinder(recurse=False).find(public, name, module=module)
    done = doctest.DocTestRunner().run(example)
    assert done.failed == 0
    assert done.attempted > 0


def test_a_folder_gives_the_findings_of_the_command(
    tmp_path: Path, weights: Path, detector: Detector
) -> None:
    inputs.good_ct(tmp_path / "in")
    (tmp_path / "in" / "readme.txt").write_text("not an image")
    best = next(detect(tmp_path / "in", detector)).candidates[0].probability
    words = [f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}", f"run_dir={tmp_path / 'run'}"]
    words += [f"weights={weights}", "model.device=cpu", f"model.threshold={best}"]
    assert main(["stage=infer", *words]) == 0
    results = list(detect(tmp_path / "in", load_detector(weights, device="cpu", threshold=best)))
    with (tmp_path / "out" / "summary.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(r.series, r.status, r.code) for r in results] == [
        (row["series"], row["status"], row["reason"]) for row in rows
    ]
    good, other = results
    assert len(good.candidates) > len(good.findings) > 0
    assert all(isinstance(finding, Finding) for finding in good.findings)
    assert (other.status, other.volume, other.findings, other.notes) == ("skipped", None, (), ())
    write_nodules(tmp_path / "mine.csv", good.series, good.candidates)
    written = tmp_path / "out" / good.series
    assert (tmp_path / "mine.csv").read_bytes() == (written / "candidates.csv").read_bytes()
    report = json.loads((written / "report.json").read_text())
    assert [round(f.volume_mm3, 1) for f in good.findings] == [f["volume_mm3"] for f in report["findings"]]
    assert [note.code for note in good.notes] == [note["code"] for note in report["notes"]]


def test_an_array_gives_the_findings_of_its_file(tmp_path: Path, detector: Detector) -> None:
    inputs.good_nifti(tmp_path)
    (read,) = detect(tmp_path / "case 7.nii.gz", detector)
    assert read.volume is not None
    result = detect_array(read.volume.hu_DHW, affine=read.volume.affine, detector=detector, name="mine")
    assert len(result.candidates) > 0
    assert result.candidates == read.candidates
    assert (result.series, result.status, result.code) == ("mine", "accepted", "ct_volume")
    assert [f.volume_mm3 for f in result.findings] == [f.volume_mm3 for f in read.findings]


def test_spacing_alone_names_no_side_and_counts_from_the_first_voxel(detector: Detector) -> None:
    placed = chest_volume(inputs.chest_affine())
    origin = placed.affine[:3, 3]
    by_affine = detect_array(placed.hu_DHW, affine=placed.affine, detector=detector)
    by_spacing = detect_array(placed.hu_DHW, spacing_mm=placed.spacing_mm.tolist(), detector=detector)
    assert isinstance(by_spacing.volume, Volume)
    assert not by_spacing.volume.is_oriented
    assert len(by_affine.candidates) > 5
    for one, other in zip(by_affine.candidates[:5], by_spacing.candidates[:5], strict=True):
        np.testing.assert_allclose(np.array(one.centre_mm) - origin, other.centre_mm, atol=0.05)


@pytest.mark.parametrize(
    ("hu_DHW", "affine", "code"),
    [
        (np.full((40, 16, 16), 40.0), grid_affine(), "values_not_hu"),
        (np.full((40, 16, 16), np.nan), grid_affine(), "volume_not_finite"),
        (np.zeros((5, 16, 16)), grid_affine(), "too_few_slices"),
        (np.zeros((40, 16, 16)), grid_affine(down=(0, 0, 0)), "volume_geometry"),
        (np.zeros((40, 16, 16)), grid_affine(step=(0, 2.4, 2.4)), "shear_too_large"),
    ],
    ids=["tissue only", "not finite", "too few", "flat", "sheared"],
)
def test_an_array_that_is_not_a_chest_gives_its_reason(
    detector: Detector, hu_DHW: np.ndarray, affine: np.ndarray, code: str
) -> None:
    result = detect_array(hu_DHW, affine=affine, detector=detector)
    assert isinstance(result, SeriesResult)
    assert (result.code, result.findings, result.volume) == (code, (), None)


def test_weights_may_be_the_folder_that_holds_them(weights: Path, detector: Detector, tmp_path: Path) -> None:
    by_folder = load_detector(weights.parent, device="cpu")
    assert (by_folder.version, by_folder.threshold) == (detector.version, detector.threshold)
    with pytest.raises(InputError, match=r"holds no \.safetensors file"):
        load_detector(tmp_path)


def test_wrong_arguments_are_value_errors() -> None:
    hu_DHW = np.zeros((40, 16, 16), np.int16)
    with pytest.raises(ValueError, match="give either spacing_mm or affine"):
        detect_array(hu_DHW)
    with pytest.raises(ValueError, match="wanted three lengths above 0"):
        detect_array(hu_DHW, spacing_mm=(2.5, 0.0, 0.7))
    with pytest.raises(ValueError, match="hu_DHW has 2 axes, wanted 3"):
        detect_array(hu_DHW[0], affine=np.eye(4))


def test_errors_a_caller_may_catch(tmp_path: Path, detector: Detector) -> None:
    with pytest.raises(InputError, match="does not exist"):
        detect(tmp_path / "none", detector)
    with pytest.raises(InputError, match="holds no file to read"):
        detect(tmp_path, detector)
    with pytest.raises(InputError, match="does not exist or is not a file"):
        load_detector(tmp_path / "none.safetensors")
    with pytest.raises(ConfigError, match="is not one of"):
        load_detector(device="abacus")
