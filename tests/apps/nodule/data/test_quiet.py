"""Silence lasts as long as the read and no longer."""

from __future__ import annotations

import logging
import os
import warnings

import pydicom.config
import pytest
import SimpleITK as sitk

from apps.nodule.data.quiet import LIBRARY_LOGGERS, native_stderr_muted, quiet_libraries


def state() -> tuple[object, ...]:
    loggers = tuple(logging.getLogger(name).disabled for name in LIBRARY_LOGGERS)
    mode = pydicom.config.settings.reading_validation_mode
    return loggers, mode, sitk.ProcessObject.GetGlobalWarningDisplay(), len(warnings.filters)


def test_everything_is_put_back_even_after_an_error() -> None:
    before = state()

    def fail() -> None:
        with quiet_libraries():
            assert state() != before
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        fail()
    assert state() == before


def test_nothing_is_heard(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with quiet_libraries():
        warnings.warn("a name", UserWarning, stacklevel=1)
        logging.getLogger("pydicom").error("a name")
        logging.getLogger("highdicom").warning("a name")
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_what_a_library_prints_itself_is_muted(capfd: pytest.CaptureFixture[str]) -> None:
    with native_stderr_muted():
        os.write(2, b"a name\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
