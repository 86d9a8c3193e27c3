"""Check a composed config: texts that may not be recorded, options that a stage needs, paths that lead nowhere."""

from __future__ import annotations

import os
from typing import Any

from core.cli.reasons import CONFIG, START
from core.settings.credentials import refuse_password
from core.settings.schema import stages_by_field, value_at, walk


def check_texts(config: Any) -> None:
    """Refuse what may not be recorded, and bytes that only a path may have."""
    for path, field in walk(config):
        text = value_at(config, path)
        if not isinstance(text, str):
            continue
        refuse_password(path, text)
        if not field.metadata["path"] and any("\udc80" <= letter <= "\udcff" for letter in text):
            raise CONFIG("config_encoding", name=path)


def check_needs(config: Any) -> None:
    """Refuse a stage whose fields are not all given."""
    for path, field in walk(config):
        if config.stage in field.metadata.get("needed_by", ()) and value_at(config, path) in (None, ""):
            about = field.metadata["about"]
            raise CONFIG("config_needed", stage=config.stage, name=path, about=about)


def check_inputs(config: Any) -> None:
    """Refuse a path that is to be read and leads nowhere, before anything heavy is imported."""
    stages = stages_by_field(config)
    for path, field in walk(config):
        text = value_at(config, path)
        deferred = field.metadata.get("deferred_by")
        if (
            not field.metadata.get("exists")
            or config.stage not in (stages[path] or (config.stage,))
            or not text
            or "://" in text
            or (deferred and value_at(config, deferred))
        ):
            continue
        try:
            os.stat(text)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no path holds a null character"
            raise START("path_missing", name=path, value=text, reason=reason) from None
