"""Result UIDs that are derived, so that a second run replaces its results in a PACS and never doubles them."""

from __future__ import annotations

import hashlib
import uuid

from apps.nodule.models.detector import ModelInfo


def result_uid(series_uid: str, model: ModelInfo, role: str, index: int = 0) -> str:
    """Return the UID of one result: `2.25.` and a UUID as a number (DICOM PS3.5 B.2, RFC 9562 version 8).

    series_uid: SeriesInstanceUID of the source. role: what the UID is for, such as "sr instance".
    The same series, model, threshold, role and index give the same UID on every machine; another threshold gives
    another, because the results under it differ.
    """
    identity = (series_uid, model.name, model.version, format(model.threshold, ".6g"), role, str(index))
    digest = hashlib.sha256("\x1f".join(identity).encode()).digest()
    number = int.from_bytes(digest[:16], "big")
    number = (number & ~(0xF << 76)) | (8 << 76)
    number = (number & ~(0x3 << 62)) | (0x2 << 62)
    return f"2.25.{uuid.UUID(int=number).int}"
