"""Who may ask a service for what: a key, its role, and how often."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from core.serving.config import METRICS_OPEN, ServingConfig
from core.serving.errors import Answers
from core.serving.keys import READ, USE, Key, KeyRing
from core.serving.reasons import ACCESS
from core.serving.service_error import ServiceError
from core.terminal.notes import print_note

_ROLE = "x-role"  # a route's own in openapi.json, where it is not that of its method
_READING = ("GET", "HEAD", "OPTIONS")
_MINUTE_S = 60.0
_CHALLENGE = {"WWW-Authenticate": "Bearer"}  # RFC 6750, section 3
_INVALID = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


def key_ring(config: ServingConfig) -> KeyRing | None:
    """Return the keys that a service asks for, None where it asks for none. Raises InputError for an unusable file."""
    if config.keys is None:
        return None
    keys = KeyRing(Path(config.keys), open_metrics=config.metrics == METRICS_OPEN)
    if not len(keys):
        print_note(f"{config.keys} holds no key: every request is refused until it has one")
    return keys


def needs(role: str) -> dict[str, Any]:
    """Return `openapi_extra` of a route that needs a role of its own, in place of that of its method.

    Without it a route that reads (GET, HEAD) needs "read", any other "use".
    """
    return {_ROLE: role}


def role_of(operation: Mapping[str, Any] | None, method: str) -> str:
    """Return the role that a request needs. operation: what `openapi_extra` says of its route."""
    role: str = (operation or {}).get(_ROLE) or (READ if method in _READING else USE)
    return role


async def check_role(request: Request) -> None:
    """Refuse a request whose key may not do what its route does; one that got here without a key needs none."""
    key = request.scope["state"].get("key")
    if key is None:
        return
    needed = role_of(getattr(request.scope["route"], "openapi_extra", None), request.method)
    if not key.allows(needed):
        raise ACCESS("key_role", needed=needed, role=key.role)


class Access:
    """Middleware that asks each request for a key, and holds it to the limits of that key.

    open_paths: what needs none. Where the file of keys changed to something unusable, the log and the terminal say so
    once. Limits are those of this process.
    """

    def __init__(self, app: ASGIApp, *, keys: KeyRing, answers: Answers, open_paths: Collection[str]) -> None:
        self._app = app
        self._keys = keys
        self._answers = answers
        self._open = frozenset(open_paths)
        self._used: dict[str, _Use] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer its refusal."""
        if scope["type"] != "http" or scope["path"] in self._open:
            await self._app(scope, receive, send)
            return
        self._renew()
        try:
            key = self._key(scope)
            use = self._used.setdefault(key.name, _Use())
            use.begin(key)
        except ServiceError as error:
            await self._answers.response(error)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            use.under_way -= 1

    def _renew(self) -> None:
        fault = self._keys.renew()
        if fault is not None:
            self._answers.event("keys_kept", code=fault.code)
            print_note(f"the keys of before stay in use: {fault.sentence}")

    def _key(self, scope: Scope) -> Key:
        """Return the key of a request, which the access log names then. Raises ServiceError."""
        secret = secret_of(dict(scope["headers"]))
        if not secret:
            raise ACCESS("key_missing", headers=_CHALLENGE)
        key = self._keys.find(secret)
        if key is None:
            raise ACCESS("key_unknown", headers=_INVALID)
        scope["state"]["key"] = key
        if key.expires is not None and key.expired(datetime.now(UTC)):
            raise ACCESS("key_expired", expires=key.expires.isoformat(), headers=_INVALID)
        return key


def secret_of(headers: Mapping[bytes, bytes]) -> bytes:
    """Return the key of a request's headers: of `Authorization: Bearer`, else of `X-API-Key`; empty where none is."""
    scheme, _, credentials = headers.get(b"authorization", b"").strip().partition(b" ")
    bearer = credentials.strip() if scheme.lower() == b"bearer" else b""
    return bearer or headers.get(b"x-api-key", b"").strip()


class _Use:
    """How a key was used of late."""

    def __init__(self) -> None:
        self.under_way = 0
        self._begun: deque[float] = deque()

    def begin(self, key: Key) -> None:
        """Count a request. Raises ServiceError where the key has had, or has, as many as it may."""
        if key.requests_at_once is not None and self.under_way >= key.requests_at_once:
            raise ACCESS("key_at_once", most=key.requests_at_once, headers={"Retry-After": "1"})
        if key.requests_per_minute is not None:
            self._in_a_minute(key.requests_per_minute)
        self.under_way += 1

    def _in_a_minute(self, most: int) -> None:
        """Count against the last 60 s exactly, so that no two minutes laid together let more pass."""
        now = monotonic()
        while self._begun and self._begun[0] <= now - _MINUTE_S:
            self._begun.popleft()
        if len(self._begun) >= most:
            # the limit may have been lowered meanwhile: the request that has to leave first is not always the oldest
            seconds = max(1, math.ceil(self._begun[len(self._begun) - most] + _MINUTE_S - now))
            raise ACCESS("key_rate", most=most, seconds=seconds, headers={"Retry-After": str(seconds)})
        self._begun.append(now)
