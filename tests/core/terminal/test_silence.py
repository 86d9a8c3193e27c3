from __future__ import annotations

import io
import logging
import subprocess
import sys
import warnings

import pytest

from core.terminal.silence import module_of, silenced


def test_log_records_are_counted_and_blank(monkeypatch: pytest.MonkeyPatch) -> None:
    early = logging.getLogger("early")
    before = io.StringIO()
    handler = logging.StreamHandler(before)
    early.addHandler(handler)
    with silenced() as counts:
        early.warning("secret %s", "1")
        early.info("secret")
        late = logging.getLogger("late.child")
        after = io.StringIO()
        late.addHandler(logging.StreamHandler(after))
        late.error("secret")
    assert counts == {"early": 1, "late": 1}
    assert before.getvalue() == ""
    assert after.getvalue() == "withheld\n"
    early.warning("free again")
    assert before.getvalue() == "free again\n"
    early.removeHandler(handler)


def test_warnings_are_counted_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with silenced() as counts:
            warnings.warn("secret", stacklevel=1)
            warnings.warn_explicit("secret", UserWarning, "/x/site-packages/pydicom/valuerep.py", 3)
    assert counts == {"test_silence": 1, "pydicom": 1}
    assert capsys.readouterr().err == ""


def test_what_others_print_is_dropped_and_our_own_lines_are_not() -> None:
    script = (
        "import os, sys, threading\nfrom core.terminal.silence import silenced\n"
        "def die(): raise ValueError('secret')\n"
        "with silenced():\n"
        "    os.write(2, b'secret'); print('secret', file=sys.stderr)\n"
        "    thread = threading.Thread(target=die); thread.start(); thread.join()\n"
        "    print('ours', file=sys.__stderr__)\n"
        "os.write(2, b'after\\n'); print('again', file=sys.stderr); print('once more', file=sys.__stderr__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "ours\nafter\nagain\nonce more\n"


def test_a_stderr_without_descriptor_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    replaced = io.StringIO()
    monkeypatch.setattr(sys, "stderr", replaced)
    with silenced():
        print("secret", file=sys.stderr)
    print("ours", file=sys.stderr)
    assert replaced.getvalue() == "ours\n"


def test_a_source_file_belongs_to_its_package() -> None:
    assert module_of("/v/lib/python3.11/site-packages/pydicom/valuerep.py") == "pydicom"
    assert module_of("/v/lib/python3.11/site-packages/six.py") == "six"
    assert module_of("/checkout/core/terminal/progress.py") == "progress"
