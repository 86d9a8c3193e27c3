"""The name under which a scoring owns its rows in a table that several share."""

from __future__ import annotations

import hashlib
from pathlib import Path

from apps.risk.config import RiskConfig
from apps.risk.data.sql import parse_url


def scoring_name(cfg: RiskConfig) -> str:
    """Return `score.name`; without it the name of the output folder with 8 digits of what the scoring is.

    These digits tell output folders and tables of data apart: a re-run has the same ones, another table into the
    same folder or the same table into another folder has not. User names and passwords do not count.
    """
    if cfg.score.name is not None:
        return cfg.score.name
    output = Path(str(cfg.output)).absolute()
    identity = repr((str(output), _source(cfg), cfg.data.table))
    digits = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{output.name.encode('utf-8', 'replace').decode()}-{digits}"


def _source(cfg: RiskConfig) -> str:
    path = cfg.data.path
    if path is None:
        return f"sample {cfg.data.sample}"
    if "://" not in path:
        return str(Path(path).absolute())
    address = parse_url(path)
    if address.get_backend_name() == "sqlite":
        return f"sqlite {Path(str(address.database)).absolute()}"
    service = address.query.get("service")
    return f"{address.get_backend_name()} {address.host} {address.port} {address.database} {service}"
