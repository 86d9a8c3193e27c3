"""What a request may not exceed: headers, body, time to send it; and from where it may come."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.serving.config import ServingConfig
from core.serving.errors import Answers
from core.serving.reasons import LIMITS
from core.serving.service_error import ServiceError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SAFE = ("GET", "HEAD", "OPTIONS")
_DRAIN_S = 0.2  # how long the rest of an unwanted body may take before its connection is given up
_LINGER_S = 2.0  # how long a refused sender may go on: a connection cut in mid-send loses the answer


@dataclass(frozen=True)
class ServingLimits:
    """Bounds of every request.

    body_bytes: of the whole body. body_s: seconds for the body to arrive. send_s: seconds that a client may leave
    a piece of its answer lying. header_bytes: of target and headers together. hosts: names and addresses that
    the Host header may have; empty allows any. origins: of pages of other sites that may use the service, such as
    https://app.example.org.
    """

    body_bytes: int = 1_000_000
    body_s: float = 60.0
    send_s: float = 60.0
    header_bytes: int = 16_384
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in _LOOPBACK


def loopback_hosts(host: str) -> tuple[str, ...]:
    """Return the names of this machine if `host` is one, so that no foreign page reaches it by DNS rebinding."""
    return tuple(dict.fromkeys((*_LOOPBACK, host.lower()))) if is_loopback(host) else ()


def allowed_hosts(host: str, listed: Sequence[str]) -> tuple[str, ...]:
    """Return the names that the Host header may have: those listed, beside those of this machine; () for any."""
    own = loopback_hosts(host)
    return tuple(dict.fromkeys((*(own or _LOOPBACK), *(each.lower() for each in listed)))) if listed else own


def serving_limits(host: str, config: ServingConfig) -> ServingLimits:
    """Return the limits that the options of a service name, which listens on `host`."""
    return ServingLimits(
        body_bytes=int(config.body_mb * 1e6),
        body_s=config.body_s,
        send_s=config.send_s,
        hosts=allowed_hosts(host, config.hosts),
        origins=tuple(each.lower() for each in config.origins),  # as browsers send them
    )


class Gate:
    """Middleware that enforces the limits while a request is read, whatever the routes do with it."""

    def __init__(self, app: ASGIApp, *, limits: ServingLimits, answers: Answers) -> None:
        self._app = app
        self._limits = limits
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer its refusal."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        body = _Body(headers, receive, self._limits)
        answer = _Answer(send, body, self._limits.send_s)
        refusal = refusal_of(scope, headers, self._limits)
        if refusal is None:
            try:
                await self._app(scope, body.receive, answer.send)
            except ServiceError as error:
                if error is not body.refusal or answer.started:
                    raise
            refusal = body.refusal
        if refusal is not None and not answer.started:
            await self._answers.response(refusal)(scope, receive, answer.send_refusal)


def refusal_of(scope: Scope, headers: dict[bytes, bytes], limits: ServingLimits) -> ServiceError | None:
    """Return why a request is refused by its head alone; None where nothing is wrong."""
    target = len(scope.get("raw_path", b"")) + len(scope["query_string"])
    size = target + sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    if size > limits.header_bytes:
        code = "target_too_large" if target > limits.header_bytes // 2 else "headers_too_large"
        return LIMITS(code, size=size, most=limits.header_bytes)
    host = headers.get(b"host", b"").decode("latin-1").lower()
    if limits.hosts and _name_of(host) not in limits.hosts:
        return LIMITS("host_not_served", hosts=" or ".join(limits.hosts))
    listed = headers.get(b"origin", b"").decode("latin-1") in limits.origins
    if scope["method"] not in _SAFE and not listed and _comes_from_elsewhere(headers, host):
        return LIMITS("cross_origin")
    length = headers.get(b"content-length", b"0")
    if int(length) > limits.body_bytes:
        return _too_large(limits)
    return None


def _name_of(host: str) -> str:
    """Return a Host header's name without its port; `[::1]:80` has its colons in brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _comes_from_elsewhere(headers: dict[bytes, bytes], host: str) -> bool:
    """Whether a browser sent this for a page of another origin: the rule of Go's CrossOriginProtection."""
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in (b"same-origin", b"none")
    origin = headers.get(b"origin")
    return origin is not None and origin.lower().partition(b"://")[2] != host.encode("latin-1")


def _too_large(limits: ServingLimits) -> ServiceError:
    return LIMITS("body_too_large", most=limits.body_bytes)


class _Body:
    """A request's body as it arrives: counted, and against the clock."""

    def __init__(self, headers: dict[bytes, bytes], receive: Receive, limits: ServingLimits) -> None:
        self._receive = receive
        self._limits = limits
        self._count = 0
        self._deadline = asyncio.get_running_loop().time() + limits.body_s
        self.refusal: ServiceError | None = None
        self.expected = b"expect" in headers  # then the sender waits for our word, and nothing is under way
        self.done = b"transfer-encoding" not in headers and headers.get(b"content-length", b"0") == b"0"

    async def receive(self) -> Message:
        """Return the next message; raise the refusal where the body is too large or too slow."""
        if self.refusal is not None:
            raise self.refusal
        if self.done:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            self.refusal = LIMITS("body_too_slow", seconds=self._limits.body_s)
            raise self.refusal from None
        self._count += len(message.get("body", b""))
        self.done = not message.get("more_body", False)
        if self._count > self._limits.body_bytes:
            self.refusal = _too_large(self._limits)
            raise self.refusal
        return message

    async def drain(self) -> None:
        """Read away a small rest, so that the connection can be used again."""
        try:
            async with asyncio.timeout(_DRAIN_S):
                while not self.done:
                    await self.receive()
        except (TimeoutError, ServiceError):
            pass

    async def linger(self) -> None:
        """Let the sender go on for a moment, and drop what it sends."""
        try:
            async with asyncio.timeout(_LINGER_S):
                while not self.done:
                    self.done = not (await self._receive()).get("more_body", False)
        except TimeoutError:
            pass


class _Answer:
    """The way back: an answer to a body that was not read ends the connection, after the sender could read it."""

    def __init__(self, send: Send, body: _Body, send_s: float) -> None:
        self._send = send
        self._body = body
        self._send_s = send_s
        self.started = False

    async def send(self, message: Message) -> None:
        """Send the app's answer, unless the request was refused meanwhile: then the refusal counts."""
        if self._body.refusal is not None and not self.started:
            return
        if message["type"] == "http.response.start" and not self._body.done and not self._body.expected:
            await self._body.drain()
            self._body.refusal = None  # it has its answer already
        await self.send_refusal(message)

    async def send_refusal(self, message: Message) -> None:
        """Send, with what a half-read body asks for."""
        if message["type"] == "http.response.start":
            self.started = True
            if not self._body.done:
                message = {**message, "headers": _closing(message["headers"])}
        elif not self._body.done and not self._body.expected and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._body.linger()
            message = {"type": "http.response.body", "body": b""}
        try:
            async with asyncio.timeout(self._send_s):
                await self._send(message)
        except TimeoutError:
            raise LIMITS("client_stalled", seconds=self._send_s) from None


def _closing(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [*headers, (b"connection", b"close")]
