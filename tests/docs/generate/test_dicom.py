from __future__ import annotations

from docs.generate.dicom import copied_attributes, read_classes, read_syntaxes, written_classes


def test_what_is_read() -> None:
    assert "| CT Image Storage | `1.2.840.10008.5.1.4.1.1.2` |" in read_classes()
    assert len(read_classes().splitlines()) == 2 + 3
    text = read_syntaxes()
    for uid in (
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.5",
    ):
        assert f"`{uid}`" in text
    assert "MPEG" not in text


def test_what_is_written() -> None:
    text = written_classes()
    assert "| `seg.dcm` | Segmentation Storage | `1.2.840.10008.5.1.4.1.1.66.4` | 9101 |" in text
    assert "| `sr.dcm` | Comprehensive 3D SR Storage |" in text
    assert "| `sc/NN.dcm` | Secondary Capture Image Storage |" in text
    assert "| `PatientID` | empty |" in copied_attributes()
    assert "| `PatientAge` | absent |" in copied_attributes()
