"""The command `triptych-nodule stage=serve`: studies in, the files of stage=infer out, over deaths as well."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread

from pipelines.nodule import main
from tests.apps.nodule import inputs
from tests.core.serving.service import until
from tests.deploy.archives import zipped_folder
from tests.e2e.served_command import Command, served_command

pytestmark = pytest.mark.e2e

ZIP = {"content-type": "application/zip"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inputs.fresh_weights(tmp_path_factory.mktemp("weights") / "w.safetensors")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    inputs.good_ct(folder)
    inputs.localiser(folder)
    return folder


def words(weights: Path) -> list[str]:
    # at most one finding, for each costs seconds of drawing
    return [f"weights={weights}", "model.device=cpu", "model.max_candidates=1"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[Command]:
    with served_command("nodule", tmp_path_factory.mktemp("http") / "run", *words(weights)) as command:
        yield command


@pytest.fixture(scope="module")
def inferred(tmp_path_factory: pytest.TempPathFactory, weights: Path, study: Path) -> dict[str, bytes]:
    """What stage=infer writes of the study."""
    folder = tmp_path_factory.mktemp("inferred")
    code = main([
        "stage=infer", f"input={study}", f"output={folder / 'out'}", f"run_dir={folder / 'run'}", *words(weights),
    ])  # fmt: skip
    assert code == 0
    out = folder / "out"
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def posted(running: Command, study: Path) -> httpx.Response:
    headers = {**ZIP, "accept": "application/zip"}
    return httpx.post(f"{running.url}/v1/studies", content=zipped_folder(study), headers=headers, timeout=120)


def test_it_answers_with_the_bytes_of_infer(
    running: Command, study: Path, inferred: dict[str, bytes]
) -> None:
    got = posted(running, study)
    assert got.status_code == 200
    assert unzipped(got.content) == inferred
    assert {Path(name).name for name in inferred} >= {"sr.dcm", "seg.dcm", "nodules.csv", "summary.csv"}


def test_a_form_of_files_gives_the_dicom_objects(
    running: Command, study: Path, inferred: dict[str, bytes]
) -> None:
    files = [("files", (path.name, path.read_bytes())) for path in sorted(study.rglob("*")) if path.is_file()]
    headers = {"accept": 'multipart/related; type="application/dicom"'}
    got = httpx.post(f"{running.url}/v1/studies", files=files, headers=headers, timeout=120)
    head = f"Content-Type: {got.headers['content-type']}\r\n\r\n".encode()
    parts = message_from_bytes(head + got.content).get_payload()
    assert len(parts) == sum(name.endswith(".dcm") for name in inferred)
    wanted = {dcmread(io.BytesIO(data)).SOPInstanceUID for name, data in inferred.items() if ".dcm" in name}
    pieces = got.content.split(b"Content-Type: application/dicom\r\n\r\n")[1:]
    assert {dcmread(io.BytesIO(piece)).SOPInstanceUID for piece in pieces} == wanted


def test_a_nasty_study_gets_a_reason_for_each_series(running: Command, tmp_path: Path) -> None:
    expected = inputs.nasty_night(tmp_path)
    got = httpx.post(
        f"{running.url}/v1/studies", content=zipped_folder(tmp_path), headers=ZIP, timeout=300
    ).json()
    assert {one["series"]: (one["status"], one["reason"]) for one in got["series"]} == expected
    log = (running.run_dir / "log.jsonl").read_text()
    assert not [one["series"] for one in got["series"] if one["series"] in log]


def test_a_study_survives_the_death_of_its_process(
    running: Command, study: Path, inferred: dict[str, bytes]
) -> None:
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(posted, running, study)
        until(lambda: running.metric("http_requests_in_flight") >= 2)  # its own included
        time.sleep(0.1)
        (child,) = running.children()
        os.kill(child, signal.SIGKILL)
        until(lambda: httpx.get(f"{running.url}/health/ready").status_code == 503)
        got = asked.result()
    assert unzipped(got.content) == inferred
    assert running.children() not in ([], [child])


def test_it_finishes_what_is_under_way_and_leaves_nothing(
    tmp_path: Path, weights: Path, study: Path, inferred: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with served_command("nodule", tmp_path / "run", *words(weights)) as command, ThreadPoolExecutor() as pool:
        asked = pool.submit(posted, command, study)
        until(lambda: command.metric("http_requests_in_flight") >= 2)
        assert command.end() == 0
        assert unzipped(asked.result().content) == inferred
    assert not list(tmp_path.glob("triptych-studies-*/*"))


def test_weights_that_cannot_be_used_end_it_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    line = [sys.executable, "-m", "pipelines.nodule", "stage=serve", "port=0", f"run_dir={tmp_path / 'run'}"]
    done = subprocess.run([*line, f"weights={tmp_path / 'w.safetensors'}"], capture_output=True, text=True)
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert "w.safetensors" in said
