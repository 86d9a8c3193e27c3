"""Decode JPEG Extended with 12-bit samples (1.2.840.10008.1.2.4.51), which pydicom's plugins refuse, through GDCM.

Source: DICOM PS3.5 A.4.1 and 8.2.1; the frame header is that of ISO/IEC 10918-1 B.2.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import gdcm
import numpy as np
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import JPEGExtended12Bit

from apps.nodule.data.frames import count_frames

FRAME_HEADERS = (0xC0, 0xC1)  # baseline, extended sequential
MARKERS = range(0xC0, 0xFF)
END = b"\xff\xd9"
BYTES_OF_8_BITS = 8


def is_extended_12_bit(dataset: Dataset) -> bool:
    """Return whether a data set holds JPEG Extended samples of more than 8 bits."""
    bits = dataset.get("BitsStored")
    is_wide = isinstance(bits, int) and bits > BYTES_OF_8_BITS
    return is_wide and dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit


def extended_frames(dataset: Dataset, wanted: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield the stored values (H, W), uint16, of the wanted frames; raises ValueError on a broken stream."""
    frames = list(generate_frames(dataset.PixelData, number_of_frames=count_frames(dataset)))
    for index in wanted:
        yield _decode(frames[index], dataset)


def _decode(stream: bytes, dataset: Dataset) -> np.ndarray:
    size = (int(dataset.Rows), int(dataset.Columns))
    if frame_size(stream) != size or END not in stream[-4:]:
        raise ValueError("the stream is not a JPEG of the image's size")  # GDCM would return what it has
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(stream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((size[1], size[0], 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(
        gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2)
    )
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    bits = int(dataset.BitsStored)
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits, bits - 1, int(dataset.PixelRepresentation)))
    # GDCM returns bytes as text.
    return np.frombuffer(image.GetBuffer().encode("utf-8", "surrogateescape"), "<u2").reshape(size)


def frame_size(stream: bytes) -> tuple[int, int] | None:
    """Return rows and columns that a JPEG stream's frame header says, or None where it has no such header."""
    at = 2
    while stream[:2] == b"\xff\xd8" and at + 9 <= len(stream) and stream[at] == 0xFF:
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker in FRAME_HEADERS:
            return (
                int.from_bytes(stream[at + 5 : at + 7], "big"),
                int.from_bytes(stream[at + 7 : at + 9], "big"),
            )
        if marker not in MARKERS or length < 2:
            return None
        at += 2 + length
    return None
