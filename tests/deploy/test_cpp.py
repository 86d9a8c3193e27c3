"""deploy/cpp: built with the installed libtorch, it finds what Python finds, and refuses bad input in one line."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from apps.nodule.data.lung_box import LungBox
from apps.nodule.data.raw_volume import write_lung
from apps.nodule.data.resample import PatientGrid
from apps.nodule.models.findings import Candidate
from tests.apps.nodule.development import some_slices
from tests.core.export.own_process import ROOT, in_own_process
from tests.deploy.networks import detector, write_networks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LEAST = 0.02
CLOSE = 1e-4


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (shutil.which("cmake") and shutil.which("g++")):
        pytest.skip("needs cmake and g++")
    build = tmp_path_factory.mktemp("cpp")
    prefix = f"-DCMAKE_PREFIX_PATH={torch.utils.cmake_prefix_path}"
    for command in (
        ["cmake", "-S", str(ROOT / "deploy" / "cpp"), "-B", str(build), prefix, "-DCMAKE_CXX_FLAGS=-Werror"],
        ["cmake", "--build", str(build), "--parallel", str(os.cpu_count())],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return build / "nodules"


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("networks") / "torchscript"
    return write_networks(folder, "proposal:torchscript", "judge:torchscript")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, scripts: Path) -> Path:
    """The judge by AOTInductor beside the proposals' TorchScript, which would take half a minute to compile."""
    folder = write_networks(tmp_path_factory.mktemp("networks") / "mixed", "judge:aotinductor")
    shutil.copy(scripts / "proposal.pt", folder)
    return folder


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> LungBox:
    return some_slices(1, tmp_path_factory.mktemp("scans"))[0].box


@pytest.fixture(scope="module")
def lung(tmp_path_factory: pytest.TempPathFactory, box: LungBox) -> Path:
    return write_lung(box, tmp_path_factory.mktemp("lungs") / "1.2.3")


def call(program: Path, networks: Path, lung: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, networks, lung, *words], capture_output=True, text=True)


def rows(program: Path, networks: Path, lung: Path, *words: str) -> np.ndarray:
    """Return what is printed, (N, 5): x, y, z, diameter, probability."""
    done = call(program, networks, lung, f"--threshold={detector().threshold}", f"--least={LEAST}", *words)
    assert (done.returncode, done.stderr) == (0, "")
    head, *lines = csv.reader(io.StringIO(done.stdout))
    assert head == ["x_mm", "y_mm", "z_mm", "diameter_mm", "probability"]
    return np.array(lines, dtype=float).reshape(-1, 5)


def expected(box: LungBox, tile: int = 160, most: int | None = None) -> np.ndarray:
    eager = detector()
    eager.depth, eager.most = tile, most
    return table(eager.nodules(box)[0])


def table(candidates: Sequence[Candidate]) -> np.ndarray:
    values = [(*one.centre_mm, one.diameter_mm, one.probability) for one in candidates]
    return np.array(values, dtype=float).reshape(-1, 5)


def test_it_finds_what_python_finds(program: Path, scripts: Path, box: LungBox, lung: Path) -> None:
    wanted = expected(box)
    assert len(wanted) > 20
    assert np.allclose(rows(program, scripts, lung), wanted, rtol=0, atol=CLOSE)


def test_it_runs_what_aotinductor_compiled(program: Path, compiled: Path, box: LungBox, lung: Path) -> None:
    assert np.allclose(rows(program, compiled, lung, "--threads=1"), expected(box), rtol=0, atol=CLOSE)


def test_thin_slabs_whole_numbers_and_a_limit(
    program: Path, scripts: Path, box: LungBox, tmp_path: Path
) -> None:
    whole = replace(box.grid, hu_DHW=np.rint(box.grid.hu_DHW).astype(np.int16))
    other = LungBox(whole, box.mask_DHW)
    wanted = expected(other, tile=32, most=12)
    assert len(wanted) >= 10
    got = rows(program, scripts, write_lung(other, tmp_path / "whole"), "--tile=32", "--most=12")
    assert np.allclose(got, wanted, rtol=0, atol=CLOSE)


def test_findings_alone_as_lines_of_json(program: Path, scripts: Path, box: LungBox, lung: Path) -> None:
    done = call(program, scripts, lung, f"--threshold={detector().threshold}", "--format=jsonl")
    assert done.returncode == 0
    found = [json.loads(line) for line in done.stdout.splitlines()]
    names = ("x_mm", "y_mm", "z_mm", "diameter_mm", "probability")
    wanted = expected(box)
    wanted = wanted[wanted[:, 4] >= detector().threshold]
    assert len(wanted) > 1
    assert [tuple(one) for one in found] == [names] * len(wanted)
    got = np.array([list(one.values()) for one in found])
    assert np.allclose(got, wanted, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("shape", [(9, 30, 2), (1, 1, 1), (40, 5, 50)])
def test_small_lungs(program: Path, scripts: Path, shape: tuple[int, ...], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    hu_DHW = random.uniform(-1100, 500, shape).astype(np.float32)
    small = LungBox(PatientGrid(hu_DHW, 1.0, np.array([-7.5, 3.25, 100.125])), random.random(shape) < 0.7)
    small.mask_DHW.flat[0] = True
    got = rows(program, scripts, write_lung(small, tmp_path / "small"))
    assert np.allclose(got, expected(small), rtol=0, atol=CLOSE)
    nothing = write_lung(LungBox(small.grid, np.zeros(shape, bool)), tmp_path / "nothing")
    assert len(rows(program, scripts, nothing)) == 0


def refused(program: Path, networks: Path, lung: Path, *words: str) -> str:
    """Return the one line that says why."""
    done = call(program, networks, lung, *(words or ("--threshold=0.5",)))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nodules: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def changed(lung: Path, folder: Path, suffix: str, data: bytes | None) -> Path:
    """Return the header of a copy of a lung, one of whose files has other bytes, or is not there."""
    for one in (".lung", ".hu", ".mask"):
        own = lung.with_suffix(one).read_bytes() if one != suffix else data
        if own is not None:
            (folder / f"copy{one}").write_bytes(own)
    return folder / "copy.lung"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("triptych-lung 1", "triptych-lung 2", "does not begin with the line"),
        ("shape 64", "shape 63", "bytes, and its header says"),
        ("shape 64", "shape -64", "shape needs three sizes of 1 to 4096"),
        ("shape 64", "shape 64 64", "is not understood"),
        ("shape 64", "shape 64 221 254\nshape 64", "shape stands there twice"),
        ("shape 64 221 254", "shape 4096 4096 4096", "68719476736 voxels, and at most 2147483648 are read"),
        ("spacing_mm 1.0", "spacing_mm 3", "spacing_mm has to be 1"),
        ("spacing_mm 1.0", "spacing_mm nan", "is not understood"),
        ("origin_mm", "origin", "is not understood"),
        ("type float32", "type float64", "type has to be float32 or int16"),
        ("type float32", "", "is not understood"),
    ],
)
def test_wrong_headers_are_refused(
    program: Path, scripts: Path, lung: Path, tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    text = lung.read_text("utf-8")
    assert old in text
    other = changed(lung, tmp_path, ".lung", text.replace(old, new).encode())
    assert sentence in refused(program, scripts, other)


def test_wrong_voxels_are_refused(program: Path, scripts: Path, lung: Path, tmp_path: Path) -> None:
    hu = lung.with_suffix(".hu").read_bytes()
    assert "cannot be read" in refused(program, scripts, tmp_path / "nowhere.lung")
    assert "copy.hu cannot be read" in refused(program, scripts, changed(lung, tmp_path, ".hu", None))
    assert "bytes, and its header says" in refused(program, scripts, changed(lung, tmp_path, ".hu", hu[:-1]))
    assert "bytes, and its header says" in refused(program, scripts, changed(lung, tmp_path, ".mask", hu))
    not_finite = np.frombuffer(hu, np.float32).copy()
    not_finite[7] = np.nan
    other = changed(lung, tmp_path, ".hu", not_finite.tobytes())
    assert "not finite" in refused(program, scripts, other)


def test_wrong_networks_are_refused(program: Path, scripts: Path, lung: Path, tmp_path: Path) -> None:
    assert "holds neither proposal.pt nor proposal.pt2" in refused(program, tmp_path, lung)
    (tmp_path / "proposal.pt").write_bytes(b"no network")
    assert "proposal.pt is not an exported network" in refused(program, tmp_path, lung)
    (tmp_path / "proposal.pt2").write_bytes(b"no package")
    assert "proposal.pt2 is not an exported network" in refused(program, tmp_path, lung)
    exchanged = tmp_path / "exchanged"
    exchanged.mkdir()
    shutil.copy(scripts / "proposal.pt", exchanged / "judge.pt")
    shutil.copy(scripts / "judge.pt", exchanged / "proposal.pt")
    assert "proposal" in refused(program, exchanged, lung)
    shutil.copy(scripts / "proposal.pt", exchanged / "proposal.pt")
    assert "another shape than the detector's judge" in refused(program, exchanged, lung)


def write_nowhere(path: str) -> None:
    """Write a judge that is sure of nothing."""
    nowhere = torch.jit.trace(lambda x: x[:, 0, 0, 0, :5] * float("nan"), torch.zeros(2, 1, 40, 40, 40))
    nowhere.save(path)


def test_a_network_that_returns_no_numbers_is_refused(
    program: Path, scripts: Path, lung: Path, tmp_path: Path
) -> None:
    shutil.copy(scripts / "proposal.pt", tmp_path)
    in_own_process(write_nowhere, tmp_path / "judge.pt")
    assert "judge returns values that are not finite" in refused(program, tmp_path, lung)


@pytest.mark.parametrize(
    ("key", "value"), [("AOTI_CPU_ISA", "AVX2 AVX9000"), ("AOTI_MACHINE", "another_machine")]
)
def test_code_of_another_processor_is_refused_before_it_is_loaded(
    program: Path, compiled: Path, lung: Path, tmp_path: Path, key: str, value: str
) -> None:
    shutil.copy(compiled / "proposal.pt", tmp_path)
    with (
        zipfile.ZipFile(compiled / "judge.pt2") as own,
        zipfile.ZipFile(tmp_path / "judge.pt2", "w") as other,
    ):
        (name,) = (name for name in own.namelist() if name.endswith("_metadata.json") and "wrapper" in name)
        for entry in own.infolist():
            data = own.read(entry)
            if entry.filename == name:
                metadata = json.loads(data)
                assert key in metadata
                data = json.dumps(metadata | {key: value}).encode()
            # what cannot be loaded at all is refused for its processor all the same
            other.writestr(entry.filename, b"" if entry.filename.endswith(".so") else data)
    sentence = refused(program, tmp_path, lung)
    assert f"was compiled for {value.split()[-1]}, which this processor lacks" in sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--least=0.5"], "wanted: nodules NETWORKS LUNG --threshold=P"),
        (["--threshold=1.5"], "--threshold=1.5 is not a number from 0 to 1"),
        (["--threshold=nan"], "--threshold=nan is not a number from 0 to 1"),
        (["--threshold=0.5x"], "is not a number"),
        (["--threshold=0.5", "--tile=8"], "--tile=8 is not a number from 32 to 512"),
        (["--threshold=0.5", "--most=0"], "--most=0 is not a number from 1 to 10000"),
        (["--threshold=0.5", "--threads"], "--threads= is not a number from 1 to 1024"),
        (["--threshold=0.5", "--format=xml"], "--format=xml is neither csv nor jsonl"),
        (["--threshold=0.5", "--colour=red"], "--colour is not an option"),
        (["--threshold=0.5", "third"], "wanted: nodules NETWORKS LUNG"),
    ],
)
def test_wrong_options_are_refused(
    program: Path, scripts: Path, lung: Path, words: list[str], sentence: str
) -> None:
    assert sentence in refused(program, scripts, lung, *words)


def test_help_names_every_option(program: Path) -> None:
    done = subprocess.run([program, "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("--threshold", "--least", "--most", "--tile", "--format", "--threads"):
        assert word in done.stdout
