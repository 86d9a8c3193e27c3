"""Serve exported networks over HTTP: `triptych-models artifacts=DIR port=8000`."""

from __future__ import annotations

from pathlib import Path

from core.runs.folder import Run
from core.serving.access import key_ring
from core.serving.exported_folder import exported
from core.serving.models_config import ModelsConfig
from core.serving.open_inference import build
from core.serving.server import serve


def run(cfg: ModelsConfig, run: Run) -> int:
    """Serve until a signal; returns 0.

    Raises InputError and ConfigError for an unusable folder, host, port, key file or certificate, and for a network
    that cannot be loaded.
    """
    keys = key_ring(cfg.serve)
    folders = [Path(part) for part in (cfg.artifacts or "").split(",") if part]
    app, _ = build(exported(folders, cfg.runtime), cfg, run.log, keys=keys)
    serve(app, cfg.host, cfg.port, cfg.serve)
    return 0
