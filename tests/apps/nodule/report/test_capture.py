from __future__ import annotations

import numpy as np

from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.models.findings import Finding
from apps.nodule.report.capture import captures, draw
from apps.nodule.report.reported import reported


def test_one_capture_a_finding_in_one_series(
    volume: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    made = captures(volume, reported(volume, findings), model)
    assert len(made) == 2
    assert len({item.SOPInstanceUID for item in made}) == 2
    assert len({item.SeriesInstanceUID for item in made}) == 1
    assert [item.InstanceNumber for item in made] == [1, 2]
    for item, plane in zip(made, (12, 29), strict=True):
        reference = item.SourceImageSequence[0].ReferencedSOPInstanceUID
        assert reference == volume.sources[plane].SOPInstanceUID
        assert (item.Rows, item.Columns, item.PhotometricInterpretation) == (424, 992, "RGB")
        assert (item.BurnedInAnnotation, item.StudyInstanceUID) == ("NO", volume.sources[0].StudyInstanceUID)
        assert item.pixel_array.shape == (424, 992, 3)


def test_the_outline_is_drawn_in_all_three_planes(
    volume: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    picture = draw(volume, reported(volume, findings)[0], model, 2)
    amber = np.all(picture == (255, 184, 46), axis=2)
    thirds = [int(amber[:, first : first + 320].sum()) for first in (8, 336, 664)]
    assert all(count > 100 for count in thirds)


def test_no_patient_attribute_is_burned_in(volume: Volume, findings: list[Finding], model: ModelInfo) -> None:
    before = draw(volume, reported(volume, findings)[0], model, 2)
    for item in volume.sources:
        item.PatientName, item.PatientID = "Somebody^Else", "other"
    assert np.array_equal(before, draw(volume, reported(volume, findings)[0], model, 2))


def test_nothing_found_gives_no_capture(volume: Volume, model: ModelInfo) -> None:
    assert captures(volume, [], model) == []
