"""Secondary captures: one colour picture a finding, for viewers that show neither SR nor SEG."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.report.pictures import Plane, planes
from apps.nodule.report.references import lossy_compression, references
from apps.nodule.report.reported import ReportedFinding
from apps.nodule.report.source import stamp
from apps.nodule.report.uids import result_uid

SERIES_NUMBER = 9103
_SIDE = 320
_GAP = 8
_HEADER, _FOOTER = 56, 40
_INK, _FAINT, _MARK = (236, 240, 243), (150, 160, 168), (255, 184, 46)
_SCALE_BAR_MM = 10.0
_BOLD = "DejaVuSans-Bold"


def captures(volume: Volume, findings: Sequence[ReportedFinding], model: ModelInfo) -> list[Dataset]:
    """Return one Secondary Capture (DICOM PS3.3 A.8.1, RGB) a finding, in the order of `findings`."""
    images = references(volume, model) if findings else []
    made = []
    for finding in findings:
        picture = draw(volume, finding, model, len(findings))
        instance = _instance(volume, picture, model, finding.number)
        image = images[finding.image - 1]
        instance.SourceImageSequence = [image.write_to(Dataset())]
        made.append(instance)
    return made


def draw(volume: Volume, finding: ReportedFinding, model: ModelInfo, total: int) -> np.ndarray:
    """Return the picture, (424, 992, 3) uint8: three planes with outline and scale, and the figures as text."""
    width = 3 * _SIDE + 4 * _GAP
    canvas = Image.new("RGB", (width, _HEADER + _SIDE + _FOOTER + _GAP))
    pen = ImageDraw.Draw(canvas)
    pen.text((_GAP, 8), _headline(finding, total), font=_font(20, _BOLD), fill=_INK)
    pen.text((_GAP, 34), _location(volume, finding), font=_font(13), fill=_FAINT)
    for column, plane in enumerate(planes(volume, finding.finding, pixels=_SIDE)):
        _paste(canvas, pen, plane, (_GAP + column * (_SIDE + _GAP), _HEADER))
    foot = f"Triptych {model.name} {model.version}   Research software, not a medical device"
    pen.text((_GAP, _HEADER + _SIDE + 24), foot, font=_font(13), fill=_FAINT)
    return np.asarray(canvas)


def _headline(finding: ReportedFinding, total: int) -> str:
    candidate = finding.candidate
    return (
        f"Nodule {finding.number} of {total}    probability {candidate.probability:.2f}    "
        f"{candidate.diameter_mm:.1f} mm    {finding.finding.volume_mm3:.0f} mm\N{SUPERSCRIPT THREE}"
    )


def _location(volume: Volume, finding: ReportedFinding) -> str:
    side = finding.side.name
    words = [f"{side} side"] if side else []
    words.append(f"slice {finding.image} of {volume.hu_DHW.shape[0]}")
    words.append("LPS " + ", ".join(f"{value:.1f}" for value in finding.candidate.centre_mm) + " mm")
    words.append("window -600 / 1500 HU")
    return "    ".join(words)


def _paste(canvas: Image.Image, pen: ImageDraw.ImageDraw, plane: Plane, corner: tuple[int, int]) -> None:
    left, top = corner
    canvas.paste(Image.fromarray(plane.grey_HW).convert("RGB"), corner)
    for line in plane.outlines:
        points = [(left + float(x), top + float(y)) for x, y in line]
        pen.line(points, fill=_MARK, width=2, joint="curve")
    middle = _SIDE / 2
    positions = ((6, middle), (_SIDE - 6, middle), (middle, 6), (middle, _SIDE - 6))
    for letter, (x, y), anchor in zip(plane.letters, positions, ("lm", "rm", "ma", "md"), strict=True):
        _label(pen, (left + x, top + y), letter, 14, anchor)
    pen.text((left, top + _SIDE + 5), plane.name, font=_font(13), fill=_FAINT)
    bar = _SCALE_BAR_MM / plane.mm
    right, low = left + _SIDE - 10, top + _SIDE - 12
    pen.rectangle([right - bar - 1, low - 2, right + 1, low + 1], fill=(0, 0, 0))
    pen.rectangle([right - bar, low - 1, right, low], fill=_INK)
    _label(pen, (right, low - 4), "10 mm", 12, "rd")


def _label(
    pen: ImageDraw.ImageDraw, position: tuple[float, float], text: str, size: int, anchor: str
) -> None:
    """Write over a picture, with a dark rim so that it shows on bone as well."""
    font = _font(size, _BOLD)
    pen.text(position, text, font=font, fill=_INK, anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))


@cache
def _font(size: int, face: str = "DejaVuSans") -> ImageFont.FreeTypeFont:
    """The typeface that comes with matplotlib, so that pixels do not depend on the machine's fonts."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"), size)


def _instance(volume: Volume, rgb_HWC: np.ndarray, model: ModelInfo, number: int) -> Dataset:
    uid = result_uid(volume.uid, model, "sc instance", number)
    instance = Dataset()
    instance.file_meta = _file_meta(uid)
    stamp(instance, volume.sources[0], model)
    instance.SOPClassUID = SecondaryCaptureImageStorage
    instance.SOPInstanceUID = UID(uid)
    instance.Modality = "OT"
    instance.ConversionType = "WSD"
    instance.SeriesInstanceUID = result_uid(volume.uid, model, "sc series")
    instance.SeriesNumber = SERIES_NUMBER
    instance.SeriesDescription = "Triptych lung nodules"
    instance.InstanceNumber = number
    instance.ImageType = ["DERIVED", "SECONDARY"]
    instance.BodyPartExamined = "CHEST"
    instance.PatientOrientation = None
    instance.DerivationDescription = "Three planes through a finding, its outline drawn in"
    # Figures and an outline are burned in, but nothing that names the patient (PS3.3 C.7.6.1.1.3).
    instance.BurnedInAnnotation = "NO"
    instance.RecognizableVisualFeatures = "NO"
    instance.update(lossy_compression(volume))
    _set_pixels(instance, rgb_HWC)
    return instance


def _file_meta(uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID(uid)
    return meta


def _set_pixels(instance: Dataset, rgb_HWC: np.ndarray) -> None:
    instance.SamplesPerPixel = 3
    instance.PhotometricInterpretation = "RGB"
    instance.PlanarConfiguration = 0
    instance.Rows, instance.Columns = rgb_HWC.shape[:2]
    instance.BitsAllocated = instance.BitsStored = 8
    instance.HighBit = 7
    instance.PixelRepresentation = 0
    pixels = rgb_HWC.tobytes()
    instance.PixelData = pixels + b"\0" * (len(pixels) % 2)
