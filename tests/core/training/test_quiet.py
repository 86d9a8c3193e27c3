from __future__ import annotations

import logging
import warnings

import pytest
from lightning.fabric.utilities.warnings import PossibleUserWarning

from core.training.quiet import LOGGERS, quiet_lightning


def test_advice_is_withheld_and_warnings_come(caplog: pytest.LogCaptureFixture) -> None:
    before = [logging.getLogger(name).level for name in LOGGERS]
    log = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    with quiet_lightning(), caplog.at_level(logging.INFO):
        log.info("GPU available: False")
        log.warning("something is wrong")
        warnings.warn("more workers", PossibleUserWarning, stacklevel=1)
        with pytest.warns(UserWarning, match="something else"):
            warnings.warn("something else", UserWarning, stacklevel=1)
    assert "GPU available" not in caplog.text
    assert "something is wrong" in caplog.text
    assert [logging.getLogger(name).level for name in LOGGERS] == before


def test_levels_come_back_after_an_error() -> None:
    before = [logging.getLogger(name).level for name in LOGGERS]

    def fail() -> None:
        with quiet_lightning():
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [logging.getLogger(name).level for name in LOGGERS] == before
