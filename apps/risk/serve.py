"""Score tables over HTTP: `triptych-risk stage=serve port=8000`.

A table posted to /v1/scores is answered with the numbers of stage=score; health, readiness and metrics come with
`core.serving`. The model is loaded once and runs in processes of its own; `apps.risk.service` holds the parts.
"""

from __future__ import annotations

from apps.risk.config import RiskConfig
from apps.risk.service.app import build
from core.runs.folder import Run
from core.serving.access import key_ring
from core.serving.server import serve


def run(cfg: RiskConfig, run: Run) -> int:
    """Serve until a signal; returns 0. Raises InputError for unusable weights, keys, certificate, host or port."""
    serve(build(cfg, run, key_ring(cfg.serve)), cfg.host, cfg.port, cfg.serve)
    return 0
