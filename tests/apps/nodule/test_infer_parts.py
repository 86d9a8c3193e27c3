"""stage=infer on a series that holds several stacks of images."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from pydicom import dcmread

from tests.apps.nodule import inputs
from tests.apps.nodule.data.dicom_samples import save
from tests.apps.nodule.test_infer import infer


def test_a_split_series_has_a_folder_and_a_row_for_each_part(tmp_path: Path) -> None:
    """Two acquisitions at the same positions; the second one arrives late and goes again."""
    weights = inputs.fresh_weights(tmp_path / "w.safetensors")
    uid, first = inputs.series("good", series_description="THORAX NATIV")
    second = deepcopy(first)
    for dataset in second:
        dataset.AcquisitionNumber = 2
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{dataset.SOPInstanceUID}1"
    save(first, tmp_path / "in")
    assert infer(tmp_path / "in", tmp_path / "out", weights).code == 0
    late = save(second, tmp_path / "in" / "late")
    result = infer(tmp_path / "in", tmp_path / "out", weights)
    assert result.code == 0
    names = [f"{uid}-part-1", f"{uid}-part-2"]
    assert sorted(path.name for path in result.output.iterdir() if path.is_dir()) == names
    rows = result.summary()
    assert [(row["series"], row["notes"].split()[0], row["files"]) for row in rows] == [
        (name, "series_split", "24") for name in names
    ]
    assert {row["series_description"] for row in rows} == {"THORAX NATIV"}
    assert {row["study_uid"] for row in rows} == {str(first[0].StudyInstanceUID)}
    written = [dcmread(path) for path in sorted(result.output.rglob("*.dcm"))]
    assert len({item.SOPInstanceUID for item in written}) == len(written) >= 6
    assert len({item.SeriesInstanceUID for item in written}) == 6, "SR, SEG and SC of each part"
    assert {item.StudyInstanceUID for item in written} == {first[0].StudyInstanceUID}
    for path in late:
        path.unlink()
    third = infer(tmp_path / "in", tmp_path / "out", weights)
    assert [row["series"] for row in third.summary()] == [uid]
    assert sorted(path.name for path in third.output.iterdir() if path.is_dir()) == [uid]
