"""The detector in its own process: a body becomes rows and files, again where an earlier try left half of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.nodule.config import ModelConfig
from apps.nodule.service.study_search import StudySearch
from core.errors import InputError
from core.serving.messages import Message
from tests.apps.nodule.inputs import fresh_weights, good_ct
from tests.deploy.archives import zipped_folder


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudySearch]:
    folder = tmp_path_factory.mktemp("search")
    model = dataclasses.asdict(ModelConfig(device="cpu", max_candidates=1))
    weights = fresh_weights(folder / "w.safetensors")
    search = StudySearch(model, str(weights), None, "auto", str(folder / "log.jsonl"))
    yield search
    search.close()


def request(folder: Path, body: bytes) -> Message:
    (folder / "body").write_bytes(body)
    return Message({"folder": str(folder), "content_type": "application/zip"})


def test_rows_are_returned_and_files_written(search: StudySearch, tmp_path: Path) -> None:
    uid = good_ct(tmp_path / "in")
    half = tmp_path / "results" / "half"
    half.parent.mkdir()
    half.write_text("of a process that died")
    (row,) = search(request(tmp_path, zipped_folder(tmp_path / "in"))).content["rows"]
    assert (row["series"], row["status"]) == (uid, "accepted")
    assert (tmp_path / "results" / uid / "sr.dcm").is_file()
    assert not half.exists()


def test_a_body_that_is_no_study_is_refused(search: StudySearch, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        search(request(tmp_path, b"no archive"))
    assert caught.value.code == "study_not_zip"


def test_it_says_what_it_is(search: StudySearch) -> None:
    assert search.about == {"name": "compact", "version": "0.0.1", "threshold": 0.05}
