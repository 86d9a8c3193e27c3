from __future__ import annotations

import uuid
from types import SimpleNamespace

from pydicom.uid import UID

from apps.nodule.models.detector import ModelInfo
from apps.nodule.report.uids import result_uid


def changed(model: ModelInfo, **fields: object) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(model), **fields})


def test_same_parts_give_the_pinned_uid(model: ModelInfo) -> None:
    # A pin: a change of this value would double every result in the archives of those who upgrade.
    assert result_uid("1.2.3", model, "sr instance") == "2.25.271440523098109546787436089132872984803"


def test_each_part_matters_and_every_uid_is_valid(model: ModelInfo) -> None:
    uids = [
        result_uid("1.2.3", model, "sr instance"),
        result_uid("1.2.4", model, "sr instance"),
        result_uid("1.2.3", model, "seg instance"),
        result_uid("1.2.3", model, "sr instance", 1),
        result_uid("1.2.3", changed(model, name="other"), "sr instance"),
        result_uid("1.2.3", changed(model, version="1.0.1"), "sr instance"),
        result_uid("1.2.3", changed(model, threshold=0.5), "sr instance"),
    ]
    assert len(set(uids)) == 7
    for uid in uids:
        assert UID(uid).is_valid
        assert len(uid) <= 64
        number = uuid.UUID(int=int(uid.removeprefix("2.25.")))
        assert (number.version, number.variant) == (8, uuid.RFC_4122)
