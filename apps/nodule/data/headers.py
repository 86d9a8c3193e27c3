"""Read the header of one DICOM file, quickly: what intake judges, and whether pixels follow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Literal

from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from apps.nodule.reasons import UNDECODABLE, refuse

HEADER_KEYWORDS = [
    "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType", "PatientID", "StudyInstanceUID",
    "SeriesInstanceUID", "FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept",
    "RescaleType", "ModalityLUTSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "AcquisitionNumber", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "ContentDate",
    "ContentTime", "TemporalPositionIdentifier", "TriggerTime", "NominalPercentageOfCardiacPhase",
    "ConvolutionKernel", "SliceThickness", "SeriesDescription",
]  # fmt: skip
ByteOrder = Literal["little", "big"]
PIXEL_DATA = 0x7FE00010
ITEM, SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
META_START = 144  # preamble, DICM, and the element that holds the length of the rest
VALID_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
MAX_UID = 64
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)


class Pixels(Enum):
    """What follows the header."""

    PRESENT = "present"
    ABSENT = "absent"
    CUT = "cut"


@dataclass(frozen=True)
class Header:
    """What intake knows of one DICOM file; `dataset` holds HEADER_KEYWORDS only."""

    path: Path
    dataset: Dataset
    pixels: Pixels
    syntax: UID

    def text(self, keyword: str) -> str:
        """Return an attribute as stripped text, "" where it is absent."""
        value = self.dataset.get(keyword)
        return "" if value is None else str(value).strip()


def read_header(path: Path) -> Header:
    """Read one file's header within `quiet_libraries`.

    Raises ItemRefused: unreadable_file, truncated, no_uid, not_dicom.
    """
    try:
        with path.open("rb") as stream:
            dataset = dcmread(
                stream, stop_before_pixels=True, specific_tags=list(HEADER_KEYWORDS), force=True
            )
            syntax = _syntax(dataset)
            pixels = _pixels(stream, dataset, syntax, path.stat().st_size)
            drop_broken(dataset)
    except OSError:
        raise refuse("unreadable_file") from None
    except Exception:  # pydicom raises nearly anything on broken bytes and quotes values: no cause is kept
        raise refuse("truncated", files=1, total=1) from None
    header = Header(path, dataset, pixels, syntax)
    if (
        not VALID_UID.fullmatch(header.text("SeriesInstanceUID"))
        or len(header.text("SeriesInstanceUID")) > MAX_UID
    ):
        raise _no_series(header)
    return header


def read_object(path: Path, syntax: UID) -> Dataset:
    """Read one object whole, pixels included, within `quiet_libraries`.

    Raises ItemRefused: unreadable_file, undecodable.
    """
    try:
        dataset = dcmread(path, force=True)
    except OSError:
        raise refuse("unreadable_file") from None
    except Exception:  # pydicom raises nearly anything on broken bytes and quotes values: no cause is kept
        raise UNDECODABLE("undecodable", images=1) from None
    drop_broken(dataset)
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def drop_broken(dataset: Dataset) -> None:
    """Convert every element now and drop those whose bytes mean nothing, as if they were absent.

    A later, lazy conversion would warn or fail with the patient's values in its message.
    """
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # converters raise nearly anything; an unreadable value counts as absent
            del dataset[tag]
            continue
        if dictionary_has_tag(tag) and (dictionary_VR(tag) == "SQ") != (element.VR == "SQ"):
            del dataset[tag]  # a sequence written as text, or the reverse: nobody who reads it expects that
            continue
        if element.VR == "SQ":
            for item in element.value:
                drop_broken(item)


def _no_series(header: Header) -> Exception:
    if header.pixels is Pixels.CUT:
        return refuse("truncated", files=1, total=1)
    known = header.text("SOPClassUID") or header.text("Modality") or header.dataset.file_meta
    return refuse("no_uid" if known else "not_dicom")


def _syntax(dataset: Dataset) -> UID:
    named = getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID")
    if named:
        return UID(str(named))
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def is_decodable(syntax: UID) -> bool:
    """Return whether pixel data in this transfer syntax can be decoded here."""
    if syntax in NATIVE:
        return True
    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _pixels(stream: BinaryIO, dataset: Dataset, syntax: UID, size: int) -> Pixels:
    """Judge the pixel data element by its length and the file's, without reading it."""
    if syntax == DeflatedExplicitVRLittleEndian:
        return Pixels.PRESENT  # zlib has vouched for the whole; the decoder sees what is in it
    start = stream.tell()
    if start >= size:
        cut = start > size or _ends_short(dataset) or _ends_with_meta(dataset, size)
        return Pixels.CUT if cut else Pixels.ABSENT
    implicit, little = dataset.original_encoding
    order: ByteOrder = "little" if little else "big"
    element = stream.read(8 if implicit else 12)
    tag = _tag(element, order)
    length = int.from_bytes(element[-4:], order)
    if tag != PIXEL_DATA or length == 0:
        return Pixels.ABSENT
    if length == UNDEFINED:
        return _fragments(stream, size)
    return Pixels.CUT if stream.tell() + length > size else Pixels.PRESENT


def _tag(data: bytes, order: ByteOrder) -> int:
    group = int.from_bytes(data[:2], order)
    return group << 16 | int.from_bytes(data[2:4], order)


def _fragments(stream: BinaryIO, size: int) -> Pixels:
    """Step over the fragments of compressed pixel data (PS3.5 A.4) to its end."""
    while True:
        item = stream.read(8)
        if len(item) < 8:
            return Pixels.CUT
        tag = _tag(item, "little")
        if tag == SEQUENCE_END:
            return Pixels.PRESENT
        if tag != ITEM:
            return Pixels.CUT
        after = stream.tell() + int.from_bytes(item[4:], "little")
        if after > size:
            return Pixels.CUT
        stream.seek(after)


def _ends_with_meta(dataset: Dataset, size: int) -> bool:
    """Return whether the file ends within or right after its file meta information (PS3.10 7.1)."""
    length = dataset.file_meta.get("FileMetaInformationGroupLength")
    return isinstance(length, int) and META_START + length >= size


def _ends_short(dataset: Dataset) -> bool:
    elements = [element for element in dataset.values() if isinstance(element, RawDataElement)]
    last = max(elements, key=lambda element: element.value_tell, default=None)
    return last is not None and isinstance(last.value, bytes) and len(last.value) < last.length < UNDEFINED
