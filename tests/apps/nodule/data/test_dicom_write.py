"""What is written is valid CT (dciodvfy), the same bytes twice, and says in the header what the affine says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless, RLELossless

from apps.nodule.data.dicom_write import CTHeader, ct_datasets, derive_uid, write_ct_series
from apps.nodule.data.volume import Volume
from tests.apps.nodule.data.dicom_samples import chest_volume, grid_affine


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEGLSLossless],
    ids=lambda uid: uid.name,
)
def test_valid_by_dciodvfy(tmp_path: Path, syntax: UID) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian package dicom3tools)")
    tilted = chest_volume(grid_affine((1, 0, 0), (0, 0.96, 0.28), (0, 0, 2.5)))
    header = CTHeader(slice_thickness_mm=3.0)
    for path in write_ct_series(tilted, tmp_path, header=header, transfer_syntax=syntax)[::8]:
        said = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in said.stderr + said.stdout, said.stderr
        assert said.stderr.strip().endswith("CTImage")


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    first = write_ct_series(chest_volume(), tmp_path / "a")
    second = write_ct_series(chest_volume(), tmp_path / "b")
    assert [path.name for path in first] == [f"{number:04d}.dcm" for number in range(1, 25)]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_header_says_what_the_affine_says() -> None:
    dataset = ct_datasets(chest_volume(), CTHeader())[2]
    assert dataset.PixelSpacing == [0.8, 0.7]  # rows lie 0.8 mm apart, columns 0.7: PS3.3 10.7.1.1
    assert dataset.ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert dataset.ImagePositionPatient == [-10.5, -20.25, 35.0]
    assert (dataset.Rows, dataset.Columns) == (32, 40)
    assert dataset.SliceThickness == 2.5
    stored = np.frombuffer(dataset.PixelData, "<u2").reshape(32, 40)
    np.testing.assert_array_equal(stored.astype(int) - 1024, chest_volume().hu_DHW[2])


def test_uids_come_from_the_volume_and_the_header() -> None:
    def uids(volume: Volume, header: CTHeader) -> tuple[str, ...]:
        dataset = ct_datasets(volume, header)[0]
        return dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID

    plain = uids(chest_volume(), CTHeader())
    assert uids(chest_volume(), CTHeader()) == plain
    assert not set(plain) & set(uids(chest_volume(uid="other"), CTHeader()))
    assert not set(plain) & set(uids(chest_volume(), CTHeader(series_number=2)))
    assert uids(chest_volume(), CTHeader(study_uid="1.2.3", series_uid="1.2.4"))[:2] == ("1.2.3", "1.2.4")
    assert all(UID(uid).is_valid for uid in plain)
    assert derive_uid("a", 1) == derive_uid("a", 1) != derive_uid("a", 2)


def test_patient_study_and_scanner_are_written(tmp_path: Path) -> None:
    header = CTHeader(
        patient_id="P7", patient_name="Müller^Zoë", study_date="20210304", convolution_kernel="B70f", kvp=100
    )
    dataset = dcmread(write_ct_series(chest_volume(), tmp_path, header=header)[0])
    assert (dataset.PatientID, str(dataset.PatientName)) == ("P7", "Müller^Zoë")
    assert {dataset.StudyDate, dataset.SeriesDate, dataset.AcquisitionDate, dataset.ContentDate} == {
        "20210304"
    }
    assert (dataset.ConvolutionKernel, dataset.KVP) == ("B70f", 100)


def test_what_dicom_cannot_hold_is_refused() -> None:
    cold = Volume(np.full((24, 4, 4), -1025, np.int16), grid_affine(), "x")
    with pytest.raises(ValueError, match=r"values lie in -1025\.\.-1025 HU, wanted -1024\.\.64511"):
        ct_datasets(cold, CTHeader())
    with pytest.raises(ValueError, match="not orthogonal"):
        ct_datasets(chest_volume(grid_affine((1, 0, 0), (0.1, 1, 0))), CTHeader())


def test_halves_are_rounded_to_whole_hounsfield_units() -> None:
    volume = chest_volume()
    shifted = Volume(volume.hu_DHW + np.float32(0.3), volume.affine, volume.uid)
    assert ct_datasets(shifted, CTHeader())[4].PixelData == ct_datasets(volume, CTHeader())[4].PixelData
