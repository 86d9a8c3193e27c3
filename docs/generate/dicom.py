"""Tables of the DICOM conformance statement: what is read and what is written, from the code that does it."""

from __future__ import annotations

from docs.generate.markdown import code, table


def read_classes() -> str:
    """Return the SOP classes that are processed."""
    from pydicom.uid import UID

    from apps.nodule.data.select import CT_CLASSES

    return table(("SOP class", "UID"), [(UID(uid).name, code(uid)) for uid in sorted(CT_CLASSES)])


def read_syntaxes() -> str:
    """Return the transfer syntaxes whose pixel data can be decoded."""
    from pydicom.uid import AllTransferSyntaxes

    from apps.nodule.data.headers import is_decodable

    rows = [(uid.name, code(uid)) for uid in AllTransferSyntaxes if is_decodable(uid)]
    return table(("transfer syntax", "UID"), rows)


def written_classes() -> str:
    """Return the objects that are made: SOP class, series number and description."""
    from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage, SegmentationStorage

    from apps.nodule.report import capture, segmentation, structured_report

    rows = [
        ("seg.dcm", SegmentationStorage, segmentation.SERIES_NUMBER),
        ("sr.dcm", Comprehensive3DSRStorage, structured_report.SERIES_NUMBER),
        ("sc/NN.dcm", SecondaryCaptureImageStorage, capture.SERIES_NUMBER),
    ]
    return table(
        ("file", "SOP class", "UID", "series number"),
        [(code(name), uid.name, code(uid), str(number)) for name, uid, number in rows],
    )


def copied_attributes() -> str:
    """Return the attributes of patient and study that every object takes from its source."""
    from apps.nodule.report.source import _PATIENT_AND_STUDY, MAY_BE_EMPTY

    empty = {True: "empty", False: "absent"}
    return table(
        ("attribute", "where the source has none"),
        [(code(name), empty[name in MAY_BE_EMPTY]) for name in _PATIENT_AND_STUDY],
    )
