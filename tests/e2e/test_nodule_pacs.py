"""The DICOM results against a real archive: stored over C-STORE, read back over its own HTTP interface."""

from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE

from apps.nodule.data.dicom_write import CTHeader, write_ct_series
from apps.nodule.data.load import load
from apps.nodule.data.series import scan
from apps.nodule.data.volume import Volume
from apps.nodule.models.findings import Candidate, Finding
from apps.nodule.report.write import write_results

MODEL = SimpleNamespace(name="compact", version="1.0.0", threshold=0.4)
ORTHANC = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")

pytestmark = pytest.mark.e2e
needs_orthanc = pytest.mark.skipif(
    ORTHANC is None, reason="Orthanc (Debian package orthanc) is not installed"
)


@dataclass(frozen=True)
class Archive:
    """A running Orthanc on the loopback interface."""

    dicom_port: int
    http_port: int

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as reply:
            return bytes(reply.read())

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [int(item.getsockname()[1]) for item in sockets]
    for item in sockets:
        item.close()
    return ports


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    assert ORTHANC is not None
    dicom_port, http_port = free_ports(2)
    settings = {
        "Name": "test",
        "StorageDirectory": str(tmp_path / "archive"),
        "IndexDirectory": str(tmp_path / "archive"),
        "DicomPort": dicom_port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "Plugins": [],
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    with (tmp_path / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([ORTHANC, str(tmp_path / "orthanc.json")], stdout=log, stderr=log)
    try:
        running = Archive(dicom_port, http_port)
        wait_for(running, process, tmp_path / "orthanc.log")
        yield running
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(archive: Archive, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            pytest.fail(f"Orthanc ended with {process.returncode}: {log.read_text(errors='replace')[-2000:]}")
        try:
            archive.get("/system")
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("Orthanc did not answer within 30 s")


@pytest.fixture
def source(tmp_path: Path) -> Volume:
    """A small CT series, written, scanned and loaded as a user's would be."""
    hu_DHW = np.full((24, 64, 64), 30, np.int16)
    hu_DHW[:, 8:56, 4:28] = hu_DHW[:, 8:56, 36:60] = -850
    affine = np.array([[0, 0, 0.8, -25.2], [0, 0.8, 0, -25.2], [2.5, 0, 0, -40], [0, 0, 0, 1.0]])
    write_ct_series(
        Volume(hu_DHW, affine, "pacs"), tmp_path / "ct", header=CTHeader(patient_name="Lefèvre^Zoë=王^小东")
    )
    (item,) = scan(tmp_path / "ct")
    assert item.status == "accepted"
    return load(item)


def findings(volume: Volume) -> list[Finding]:
    every = np.argwhere(np.ones(volume.hu_DHW.shape, bool))
    out = []
    for index, probability in (((10, 30, 14), 0.9), ((15, 36, 48), 0.6)):
        centre = volume.to_world(np.array([index]))[0]
        near = every[np.linalg.norm(volume.to_world(every) - centre, axis=1) <= 4]
        corner = near.min(axis=0)
        mask = np.zeros(near.max(axis=0) - corner + 1, bool)
        mask[tuple((near - corner).T)] = True
        x, y, z = (float(v) for v in centre)
        d, h, w = (int(v) for v in corner)
        out.append(
            Finding(
                Candidate((x, y, z), 8.0, probability), mask, (d, h, w), float(mask.sum() * volume.voxel_mm3)
            )
        )
    return out


def results(folder: Path, volume: Volume) -> list[Path]:
    marks = findings(volume)
    write_results(folder, volume, [mark.candidate for mark in marks], marks, MODEL)
    paths = sorted(folder.rglob("*.dcm"))
    assert [path.name for path in paths] == ["01.dcm", "02.dcm", "seg.dcm", "sr.dcm"]
    return paths


def store(archive: Archive, paths: list[Path]) -> None:
    """C-STORE each file in one association; every answer must be Success (0x0000)."""
    datasets = [dcmread(path) for path in paths]
    entity = AE(ae_title="TRIPTYCH")
    for uid in sorted({str(item.SOPClassUID) for item in datasets}):
        entity.add_requested_context(UID(uid), ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", archive.dicom_port)
    assert association.is_established
    try:
        answers = [association.send_c_store(item).Status for item in datasets]
    finally:
        association.release()
    assert answers == [0x0000] * len(paths)


def stored(archive: Archive) -> dict[str, Dataset]:
    """What the archive holds, by SOP Instance UID."""
    instances = [
        dcmread(io.BytesIO(archive.get(f"/instances/{key}/file"))) for key in archive.json("/instances")
    ]
    return {str(item.SOPInstanceUID): item for item in instances}


@needs_orthanc
def test_an_archive_takes_the_results_and_gives_them_back(
    archive: Archive, source: Volume, tmp_path: Path
) -> None:
    paths = results(tmp_path / "out", source)
    store(archive, [*sorted((tmp_path / "ct").iterdir()), *paths])
    held = stored(archive)
    assert len(held) == 24 + 4
    for path in paths:
        sent = dcmread(path)
        assert held[str(sent.SOPInstanceUID)] == sent
    # One patient, one study: the results lie beside their source; SR, SEG and SC are series of their own.
    assert len(archive.json("/patients")) == 1
    (study,) = archive.json("/studies?expand")
    assert study["MainDicomTags"]["StudyInstanceUID"] == str(source.sources[0].StudyInstanceUID)
    modalities = sorted(item["MainDicomTags"]["Modality"] for item in archive.json("/series?expand"))
    assert modalities == ["CT", "OT", "SEG", "SR"]
    for key in archive.json("/series"):
        assert archive.json(f"/series/{key}/patient")["MainDicomTags"]["PatientName"] == "Lefèvre^Zoë=王^小东"


@needs_orthanc
def test_a_second_run_doubles_nothing_in_the_archive(
    archive: Archive, source: Volume, tmp_path: Path
) -> None:
    store(archive, results(tmp_path / "one", source))
    before = stored(archive)
    store(archive, results(tmp_path / "two", source))
    after = stored(archive)
    assert len(after) == 4
    assert sorted(after) == sorted(before)
    assert all(after[uid] == before[uid] for uid in before)


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dsrdump (Debian package dcmtk) is not installed")
def test_another_toolkit_prints_the_report(source: Volume, tmp_path: Path) -> None:
    results(tmp_path / "out", source)
    done = subprocess.run(
        ["dsrdump", "+U8", str(tmp_path / "out" / "sr.dcm")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    # dcmtk warns that its value checker does not know UTF-8; errors start with "E:" or "F:".
    assert [line for line in done.stderr.splitlines() if not line.startswith("W:")] == []
    assert "Comprehensive 3D SR Document" in done.stdout
    assert done.stdout.count('"Measurement Group"') == 2
    assert 'NUM:(,,"Diameter")="8.0"' in done.stdout
    assert 'NUM:(,,"Certainty of Finding")="0.9"' in done.stdout
