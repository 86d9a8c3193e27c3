"""Whose body, and which part of it: what the header says beside what the images show."""

from __future__ import annotations

import re

import numpy as np
from pydicom import Dataset
from scipy import ndimage

from apps.nodule.data.lung_box import Located
from apps.nodule.data.lungs import CAVITY_MM3, GRID_MM, SMALLEST_MM3
from apps.nodule.reasons import Note, note

TISSUE_HU = -300.0
SMALL_BODY_MM = 180.0  # a child of about four years; adults measure 280 to 400 mm at the lungs
LARGE_BODY_MM = 300.0
ADULT_M, CHILD_M = 1.4, 1.1  # body heights that fit no body as narrow, and none as wide, as these
CHEST_WORDS = ("CHEST", "LUNG", "THORAX")
# Defined terms of DICOM PS3.16 annex L for parts that hold no lung, as scanners write them.
OTHER_WORDS = (
    *("HEAD", "BRAIN", "SKULL", "SINUS", "ORBIT", "EAR", "FACE", "JAW", "MAXILLA", "MANDIBLE", "TMJ"),
    *("PELVIS", "HIP", "LEG", "THIGH", "KNEE", "CALF", "ANKLE", "FOOT", "TOE", "EXTREMITY", "LEXTREM"),
    *("HAND", "WRIST", "FINGER", "THUMB", "ELBOW", "FOREARM", "UEXTREM", "BLADDER", "PROSTATE", "SACRUM"),
)
TORSO_WORDS = (*CHEST_WORDS, "NECK", "ABD", "BODY", "TRUNK")


def body_notes(located: Located) -> list[Note]:
    """Return notes where there is no lung, or where header and images contradict each other.

    Reads BodyPartExamined and PatientSize of a DICOM source, and at the width of the body.
    """
    header = located.volume.sources[0] if located.volume.sources else Dataset()
    part = str(header.get("BodyPartExamined") or "").upper()
    if not located.lungs.air_DHW.any():
        absent = [note("no_lung", limit=SMALLEST_MM3 / 1000)]
        return [*absent, note("chest_without_lung")] if _names(part, CHEST_WORDS) else absent
    notes = []
    if located.lungs.cavities:
        notes.append(note("gas_cavity", cavities=located.lungs.cavities, limit=CAVITY_MM3 / 1000))
    if _is_elsewhere(part):
        notes.append(note("body_part_differs"))
    width, height = body_width_mm(located), _height_m(header)
    if width is not None and width < SMALL_BODY_MM:
        notes.append(note("small_body", width=width))
    if width is not None and height is not None and _contradict(width, height):
        notes.append(note("patient_size_differs", width=width))
    return notes


def body_width_mm(located: Located) -> float | None:
    """Return the width of the body where the lungs are largest; None where the image cuts it off."""
    plane = int(np.argmax(located.lungs.air_DHW.sum(axis=(1, 2))))
    labels, count = ndimage.label(located.coarse.hu_DHW[plane] > TISSUE_HU)
    if count == 0:
        return None
    largest = int(np.argmax(np.bincount(labels.ravel())[1:])) + 1
    columns = np.flatnonzero((labels == largest).any(axis=0))
    if columns[0] == 0 or columns[-1] == labels.shape[1] - 1:
        return None
    return float(columns[-1] - columns[0] + 1) * GRID_MM


def _contradict(width_mm: float, height_m: float) -> bool:
    return (height_m >= ADULT_M and width_mm < SMALL_BODY_MM) or (
        height_m <= CHILD_M and width_mm > LARGE_BODY_MM
    )


def _height_m(header: Dataset) -> float | None:
    """Return the patient's height; None where absent or no height of a person."""
    try:
        height = float(header.get("PatientSize") or 0)
    except (TypeError, ValueError):
        return None
    return height if 0.2 <= height <= 2.6 else None


def _is_elsewhere(part: str) -> bool:
    """Whether a body part holds no lung; a word within another (EAR in HEART) says nothing."""
    ends = any(
        name.startswith(OTHER_WORDS) or name.endswith(OTHER_WORDS) for name in re.findall(r"[A-Z]+", part)
    )
    return ends and not _names(part, TORSO_WORDS)


def _names(part: str, words: tuple[str, ...]) -> bool:
    return any(word in part for word in words)
