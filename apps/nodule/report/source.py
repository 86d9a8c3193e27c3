"""What every DICOM result takes from its source: patient, study, dates, equipment, geometry."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue
from pydicom.uid import UID

from apps.nodule.data.headers import MAX_UID, VALID_UID
from apps.nodule.models.detector import ModelInfo
from apps.nodule.report.uids import result_uid

MANUFACTURER = "Triptych"

# Patient, General Study and Patient Study modules (DICOM PS3.3 C.7.1.1, C.7.2.1, C.7.2.2).
_PATIENT_AND_STUDY = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientSex",
    "EthnicGroup",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
)
# Type 2: present in every result, empty where the source has none.
MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
# Value representations of text (PS3.5 6.2); what the source writes as another is left out of results.
_TEXTS = frozenset({"AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UT"})
_DATE = re.compile(r"(1[89]|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
# Where a source has no date at all (dates are type 1 in SR and SEG): the first day that no scanner can have used.
_NO_DATE, _NO_TIME = "19000101", "000000"


@dataclass(frozen=True)
class Moment:
    """A DICOM date (YYYYMMDD) and time (HHMMSS[.ffffff])."""

    date: str
    time: str


def moment(source: Dataset) -> Moment:
    """Return the source's own series date and time, else the study's, else the acquisition's."""
    chosen = Moment(_NO_DATE, _NO_TIME)
    for kind in ("Series", "Study", "Acquisition", "Content"):
        date = str(source.get(f"{kind}Date") or "").strip()
        if _DATE.fullmatch(date):
            chosen = Moment(date, _time_on(source, date))
            break
    return chosen


def study_date(source: Dataset) -> str | None:
    """Return the study's date as YYYY-MM-DD, or None where the source gives none that can be read."""
    date = str(source.get("StudyDate") or "").strip()
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if _DATE.fullmatch(date) else None


def _time_on(source: Dataset, date: str) -> str:
    """Return the first readable time that the source gives for that date."""
    for kind in ("Series", "Study", "Acquisition", "Content"):
        time = str(source.get(f"{kind}Time") or "").strip()
        if str(source.get(f"{kind}Date") or "").strip() == date and _TIME.fullmatch(time):
            return time
    return _NO_TIME


def _copy(source: Dataset, target: Dataset, keywords: Iterable[str]) -> None:
    # Values are passed on as the scanner wrote them: a malformed one must neither stop the result nor, as a
    # warning, put a patient's attribute on stderr.
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        for keyword in keywords:
            element = source.get(tag_for_keyword(keyword) or 0)
            if isinstance(element, DataElement) and element.VR in _TEXTS:
                copied = _as_declared(element, dictionary_VR(element.tag))
                if copied is not None:
                    target[keyword] = copied


def _as_declared(element: DataElement, vr: str) -> DataElement | None:
    """Return an element in the value representation of the standard, or None where its text does not have that form."""
    if vr == element.VR:
        return DataElement(element.tag, vr, element.value)
    many = isinstance(element.value, MultiValue)
    value = [str(part) for part in element.value] if many else str(element.value)
    try:
        return DataElement(element.tag, vr, value)
    except ValueError:
        return None


def valid_uid(source: Dataset, keyword: str) -> UID | None:
    """Return a UID of the source, or None where it is absent or no UID: results with such a one are not valid."""
    text = str(source.get(keyword) or "").strip()
    return UID(text) if VALID_UID.fullmatch(text) and len(text) <= MAX_UID else None


def study_uid(source: Dataset, model: ModelInfo) -> UID:
    """Return the source's StudyInstanceUID, or one derived from its series where it has none."""
    known = valid_uid(source, "StudyInstanceUID")
    return known or UID(result_uid(str(source.SeriesInstanceUID), model, "study"))


def stamp(instance: Dataset, source: Dataset, model: ModelInfo) -> None:
    """Give a result its source's patient, study and dates, and the model as contributing equipment.

    Every date that a library took from the clock is replaced: two runs give the same bytes.
    """
    if "SpecificCharacterSet" in instance:
        del instance.SpecificCharacterSet
    _copy(source, instance, _PATIENT_AND_STUDY)
    for keyword in MAY_BE_EMPTY:
        if keyword not in instance:
            setattr(instance, keyword, None)
    instance.StudyInstanceUID = study_uid(source, model)
    when = moment(source)
    for kind in ("InstanceCreation", "Content", "Series"):
        setattr(instance, f"{kind}Date", when.date)
        setattr(instance, f"{kind}Time", when.time)
    instance.Manufacturer = MANUFACTURER
    instance.ManufacturerModelName = _long_string(model.name)
    instance.SoftwareVersions = _long_string(model.version)
    instance.DeviceSerialNumber = _long_string(f"{model.name}-{model.version}")
    instance.ContributingEquipmentSequence = [_scanner(source), _detector(model)]


def _long_string(text: str) -> str:
    """Cut to what the value representation LO holds; a backslash would part values."""
    return text.replace("\\", "/")[:64]


def _equipment(code: str, meaning: str) -> Dataset:
    purpose = Dataset()
    purpose.CodeValue = code
    purpose.CodingSchemeDesignator = "DCM"
    purpose.CodeMeaning = meaning
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item


def _scanner(source: Dataset) -> Dataset:
    item = _equipment("109101", "Acquisition Equipment")
    _copy(source, item, ("Manufacturer", "ManufacturerModelName", "SoftwareVersions"))
    if not item.get("Manufacturer"):
        item.Manufacturer = "unknown"
    return item


def _detector(model: ModelInfo) -> Dataset:
    item = _equipment("109102", "Processing Equipment")
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = _long_string(model.name)
    item.SoftwareVersions = _long_string(model.version)
    item.ContributionDescription = f"Lung nodule detection, working point {model.threshold:.6g}"
    return item
