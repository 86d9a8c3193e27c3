from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from core.runs.provenance import commit, device, packages, provenance


def test_the_record_is_plain_json_and_names_what_counts() -> None:
    record = provenance(3, ["triptych-nodule", "stage=train"])
    assert json.loads(json.dumps(record)) == record
    assert sorted(record) == ["command", "device", "git", "packages", "platform", "python", "seed"]
    assert (record["seed"], record["command"]) == (3, ["triptych-nodule", "stage=train"])
    assert record["python"] == ".".join(map(str, sys.version_info[:3]))


def test_packages_are_those_installed() -> None:
    result = packages()
    assert result["torch"] == version("torch")
    assert result["hydra-core"] == version("hydra-core")
    assert list(result) == sorted(result)


def test_the_device_is_this_machine() -> None:
    result = device()
    assert result["cores"] == len(os.sched_getaffinity(0))
    assert result["memory_bytes"] > 2**28
    assert result["isa"] == sorted(set(result["isa"]))
    assert isinstance(result["gpus"], list)


def test_the_commit_and_whether_files_changed(tmp_path: Path) -> None:
    assert commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "file").write_text("1")
    for words in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    head = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert commit(tmp_path) == {"commit": head, "changed": False}
    (tmp_path / "file").write_text("2")
    assert commit(tmp_path) == {"commit": head, "changed": True}


def test_a_broken_checkout_gives_none(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("nonsense")
    assert commit(tmp_path) is None


def test_it_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom core.runs.provenance import provenance\nprovenance(0, [])\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
