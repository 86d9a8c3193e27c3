"""The options of every service, in the same words: limits, who may ask, keys, TLS; free of HTTP packages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from core.serving.reasons import OPTIONS
from core.settings.schema import Section, free_text, path_text, setting

METRICS_OPEN, METRICS_ADMIN = "open", "admin"
_ORIGIN = re.compile(r"https?://[^/\s*@?#]+")


@dataclass
class ServingConfig(Section):
    """How a service answers, and whom; an app's own options follow in a class of its own.

    Raises ConfigError: serve_origin, serve_tls_half.
    """

    where: ClassVar[str] = "serve"

    body_mb: float = setting(32.0, "largest request", unit="MB", above=0, high=1024)
    body_s: float = setting(60.0, "time for a request's body to arrive", unit="s", above=0, high=3600)
    send_s: float = setting(
        60.0, "time that a client may leave a piece of its answer unread", unit="s", above=0, high=3600
    )
    grace: float = setting(
        30.0, "time that a shutdown waits for requests under way", unit="s", low=0, high=3600
    )
    hosts: list[str] = setting(
        [],
        "names that requests may call the service by, beside those of this machine; empty: as host= has it",
    )
    origins: list[str] = setting(
        [], "sites whose pages may use the service (CORS), such as https://app.example.org; empty: none"
    )
    keys: str | None = path_text(
        None,
        "file of API keys, of `triptych-keys new`; each request then needs one, and a change of the file counts "
        "at once",
        null="whoever reaches the service may use it",
        exists=True,
    )
    metrics: str = setting(
        METRICS_OPEN,
        "who may read /metrics where keys are needed",
        choices={METRICS_OPEN: "everyone", METRICS_ADMIN: "keys of role admin"},
        only_with="serve.keys",
    )
    certificate: str | None = path_text(
        None,
        "file of a certificate and its chain (PEM): the service speaks HTTPS; a renewed one is taken without a restart",
        null="it speaks HTTP",
        exists=True,
    )
    private_key: str | None = path_text(None, "file of the certificate's key (PEM)", exists=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for each in self.origins:
            if not _ORIGIN.fullmatch(each):
                raise OPTIONS("serve_origin", origin=each)
        if (self.certificate is None) != (self.private_key is None):
            given, lacking = "serve.certificate", "serve.private_key"
            if self.certificate is None:
                given, lacking = lacking, given
            raise OPTIONS("serve_tls_half", given=given, lacking=lacking)


def host_option(stages: Sequence[str]) -> Any:
    """Declare `host`, the address of a service."""
    return free_text("127.0.0.1", "address that the service listens on", stages=stages)


def port_option(stages: Sequence[str]) -> Any:
    """Declare `port`, the port of a service."""
    return setting(8000, "its port; 0 takes a free one", low=0, high=65535, stages=stages)
