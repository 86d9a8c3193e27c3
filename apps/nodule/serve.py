"""Serve the detector over HTTP: `triptych-nodule stage=serve port=8000`.

A DICOM study posted to /v1/studies is answered with its findings, SR and SEG; health, readiness and metrics come with
`core.serving`. The detector runs in processes of their own; `apps.nodule.service` holds the parts.
"""

from __future__ import annotations

from apps.nodule.config import NoduleConfig
from apps.nodule.service.app import build
from core.runs.folder import Run
from core.serving.access import key_ring
from core.serving.server import serve


def run(cfg: NoduleConfig, run: Run) -> int:
    """Serve until a signal; returns 0. Raises InputError for unusable weights, keys, certificate, host or port."""
    serve(build(cfg, run, key_ring(cfg.serve)), cfg.host, cfg.port, cfg.serve)
    return 0
