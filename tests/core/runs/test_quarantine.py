from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import InternalFault
from core.runs.quarantine import FOLDER, Quarantine


def test_an_item_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "quarantine")
    assert not quarantine.folder.exists()
    path = quarantine.add("1.2.3", "truncated", "The file is cut short.", ["b/2", "a/1"])
    assert path == tmp_path / "quarantine" / "1.2.3.json"
    first = path.read_bytes()
    assert json.loads(first) == {
        "code": "truncated",
        "files": ["a/1", "b/2"],
        "id": "1.2.3",
        "sentence": "The file is cut short.",
    }
    quarantine.add("1.2.3", "truncated", "The file is cut short.", ["a/1", "b/2"])
    assert path.read_bytes() == first
    assert quarantine.add("患者 1", "x", "y").name == "患者 1.json"


@pytest.mark.parametrize("item", ["", ".", "../x", "a/b", "x\0", "n" * 201])
def test_an_id_that_is_not_a_file_name_is_refused(item: str, tmp_path: Path) -> None:
    with pytest.raises(InternalFault, match="a quarantine id must be a plain file name"):
        Quarantine(tmp_path).add(item, "code", "sentence")
    assert list(tmp_path.iterdir()) == []


def test_an_item_that_is_good_now_is_released(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "quarantine")
    quarantine.release("1.2.3")
    assert not quarantine.folder.exists()
    quarantine.add("1.2.3", "truncated", "The file is cut short.")
    other = quarantine.add("1.2.4", "truncated", "The file is cut short.")
    quarantine.release("1.2.3")
    assert list(quarantine.folder.iterdir()) == [other]
    quarantine.release("1.2.4")
    assert not quarantine.folder.exists(), "nothing is left in it"


def test_parts_of_an_item_have_their_own_reasons(tmp_path: Path) -> None:
    parts = [{"row": 3, "code": "time_value", "sentence": "day is not a time"}]
    path = Quarantine(tmp_path / FOLDER).add("as_of=2024-01-31", "rows_set_aside", "1 of 9 rows", parts=parts)
    assert path == tmp_path / "quarantine" / "as_of=2024-01-31.json"
    assert json.loads(path.read_bytes())["parts"] == parts
