"""Manifests: the same bytes twice, and one line for whatever was changed afterwards."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.risk.data.as_of_time import parse_as_of
from apps.risk.scoring.manifest import Facts, read_manifest, summary, verify, write_manifest
from core.errors import InputError, InternalFault

FACTS = Facts(
    as_of=parse_as_of("2024-01-31"),
    model="riskformer-tiny",
    model_digest="ab" * 32,
    units={"entity": "", "var_01": "1"},
    scored=2,
    refused={"too_short": 1},
    rejected={"time_missing": 4},
    input_digest="cd" * 32,
    settings={"horizon": 10, "levels": [0.01, 0.05]},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(5):
        table = pa.table({"entity": [f"é{number}"], "var_01": [0.5 * number]})
        pq.write_table(table, tmp_path / f"part-{number:05d}.parquet")
    write_manifest(tmp_path, FACTS)
    return tmp_path


def test_the_manifest_says_what_lies_there(folder: Path) -> None:
    content = json.loads((folder / "_manifest.json").read_text("utf-8"))
    assert verify(folder) == read_manifest(folder) == content
    data = (folder / "part-00003.parquet").read_bytes()
    assert content["files"]["part-00003.parquet"] == {
        "bytes": len(data),
        "rows": 1,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    assert len(content["files"]) == 5
    assert content["columns"][1] == {"name": "var_01", "type": "double", "unit": "1"}
    assert content["counts"] == {
        "scored": 2,
        "refused": {"too_short": 1},
        "rejected_rows": {"time_missing": 4},
    }
    assert content["as_of"] == "2024-01-31"
    assert content["model"] == {"name": "riskformer-tiny", "digest": "ab" * 32}


def test_the_order_of_facts_changes_no_byte_and_each_fact_changes_the_digest(folder: Path) -> None:
    before = (folder / "_manifest.json").read_bytes()
    other = dataclasses.replace(FACTS, settings={"levels": [0.01, 0.05], "horizon": 10})
    digest = write_manifest(folder, other)["digest"]
    assert (folder / "_manifest.json").read_bytes() == before
    changes = [
        dataclasses.replace(FACTS, **change)
        for change in (
            {"as_of": parse_as_of("2024-01-31T17:30")},
            {"model": "other"},
            {"model_digest": "00"},
            {"units": {"entity": "", "var_01": "EUR"}},
            {"scored": 3},
            {"refused": {}},
            {"rejected": {}},
            {"input_digest": "00"},
            {"settings": {}},
            {"seen_in_training": {"targets": "2024-02-01"}},
        )
    ]
    assert len(changes) == len(dataclasses.fields(Facts))
    assert len({digest, *(write_manifest(folder, facts)["digest"] for facts in changes)}) == len(changes) + 1


def test_what_is_missing_changed_or_foreign_is_reported_in_one_line(folder: Path) -> None:
    (folder / "part-00000.parquet").unlink()
    data = bytearray((folder / "part-00001.parquet").read_bytes())
    data[10] ^= 1
    (folder / "part-00001.parquet").write_bytes(data)
    (folder / "part-00002.parquet").write_bytes(b"")
    (folder / "note.txt").write_text("x")
    with pytest.raises(InputError) as caught:
        verify(folder)
    assert caught.value.code == "partition_changed"
    assert caught.value.sentence == (
        f"{folder} is not as it was written (missing: part-00000.parquet; changed: part-00001.parquet, "
        "part-00002.parquet; not in the manifest: note.txt): score this date again"
    )


def test_many_missing_files_are_counted(folder: Path) -> None:
    for path in folder.glob("*.parquet"):
        path.unlink()
    with pytest.raises(InputError, match=r"part-00002\.parquet and 2 more\): score this date again$"):
        verify(folder)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (None, "manifest_missing", "cannot be read: No such file or directory"),
        ("{", "manifest_changed", "score this date again"),
        ("[1]", "manifest_changed", "is not as it was written"),
        ("edited", "manifest_changed", "is not as it was written"),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(folder: Path, text: str | None, code: str, said: str) -> None:
    path = folder / "_manifest.json"
    if text is None:
        path.unlink()
    else:
        path.write_text(path.read_text().replace('"scored": 2', '"scored": 3') if text == "edited" else text)
    with pytest.raises(InputError, match=said) as caught:
        verify(folder)
    assert caught.value.code == code


def test_our_own_slips_are_faults(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InternalFault, match="columns and units differ: es_01, var_01"):
        write_manifest(folder, dataclasses.replace(FACTS, units={"entity": "", "es_01": "1"}))
    (tmp_path / "none").mkdir()
    with pytest.raises(InternalFault, match="at least one file"):
        write_manifest(tmp_path / "none", FACTS)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_manifest(folder, dataclasses.replace(FACTS, settings={"x": math.nan}))


def test_partitions_are_summed_up_and_a_broken_one_is_named(folder: Path) -> None:
    content = read_manifest(folder)
    scores = folder / "scores"
    (scores / "as_of=2024-01-31").mkdir(parents=True)
    (folder / "_manifest.json").rename(scores / "as_of=2024-01-31/_manifest.json")
    (scores / "as_of=2024-01-30").mkdir()
    (scores / ".as_of=2024-01-29.x.part").mkdir()
    assert summary(scores) == {
        "partitions": {
            "as_of=2024-01-30": {"fault": "manifest_missing"},
            "as_of=2024-01-31": {name: content[name] for name in ("digest", "model", "counts")},
        }
    }
