"""Keep the DICOM and image libraries from speaking: their warnings and log lines quote patients' values."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import gdcm
import pydicom.config
import SimpleITK as sitk

LIBRARY_LOGGERS = ("pydicom", "highdicom")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence pydicom, GDCM and ITK for the length of a read; everything is put back afterwards.

    Enter it in the thread that starts workers, never inside one: warning filters belong to the process.
    """
    loggers = [logging.getLogger(name) for name in LIBRARY_LOGGERS]
    disabled = [logger.disabled for logger in loggers]
    validation = pydicom.config.settings.reading_validation_mode
    itk_speaks = sitk.ProcessObject.GetGlobalWarningDisplay()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.disabled = True
        pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
        sitk.ProcessObject.SetGlobalWarningDisplay(flag=False)
        _mute_gdcm()
        try:
            yield
        finally:
            sitk.ProcessObject.SetGlobalWarningDisplay(itk_speaks)
            pydicom.config.settings.reading_validation_mode = validation
            for logger, was in zip(loggers, disabled, strict=True):
                logger.disabled = was


@contextmanager
def native_stderr_muted() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: ITK's MetaIO and NIfTI libraries print there and cannot be told not to.

    It holds for the whole process, so keep it around one call of such a library.
    """
    try:
        saved = os.dup(2)
    except OSError:  # a service without stderr has nothing to mute
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def _mute_gdcm() -> None:
    """GDCM writes to the process's stderr itself and cannot say whether it did so before; it stays muted."""
    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
    gdcm.Trace.DebugOff()
