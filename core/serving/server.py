"""Run a service: bind, say where, answer, and on SIGINT or SIGTERM finish what is under way."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from core.errors import InputError
from core.serving.config import ServingConfig
from core.serving.limits import is_loopback
from core.serving.reasons import ADDRESS, FAULTS
from core.serving.tls import Certificate, certificate_of
from core.terminal.notes import print_note

_BACKLOG = 2048
_HEAD_S = 20.0  # how long a request's head may take to arrive
_KEEP_ALIVE_S = 30.0  # longer than clients keep an idle connection, or they would meet one that just closed
_UNWIND_S = 2.0  # how long cancelled requests and their cleaning up may take
_TICK_S = 0.02
_TICKS_A_SECOND = 10  # of uvicorn's main loop
_CODES = {
    errno.EADDRINUSE: "port_taken",
    errno.EACCES: "port_forbidden",
    errno.EADDRNOTAVAIL: "host_unknown",
}


def announce(url: str, *, keys: bool = False) -> None:
    """Print where the service listens; where others reach it, whether it asks for keys and keeps them secret."""
    scheme, _, address = url.partition("://")
    host = address.rpartition(":")[0].strip("[]")
    if is_loopback(host):
        where = ""
    elif keys:
        where = ", for holders of a key"
    else:
        where = f", open to everyone {'on the network' if host in ('0.0.0.0', '::') else 'who reaches it'}"
    print(f"listening on {url}{where}; Ctrl-C ends it", flush=True)
    if is_loopback(host):
        return
    if not keys:
        print_note("this service asks for no key: serve.keys=FILE does, with keys of `triptych-keys new`")
    elif scheme == "http":
        print_note(
            "keys reach this service unencrypted, unless a proxy before it speaks HTTPS: "
            "serve.certificate=FILE serve.private_key=FILE does"
        )


def serve(
    app: FastAPI,
    host: str,
    port: int,
    config: ServingConfig,
    *,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Answer requests until SIGINT or SIGTERM; call from the main thread.

    port 0 takes a free one; on_ready gets the URL once connections are taken, by default it is announced. config: its
    certificate makes it HTTPS, with what the files hold later; after the signal no connection is taken, requests under
    way have `grace` seconds to end (a second signal ends that time), then they are cancelled. Raises InputError
    (port_taken, port_forbidden, host_unknown, tls_…), InternalFault for an app that does not ask for the keys of
    the config, or what the app's on_start or on_stop raised.
    """
    if config.keys is not None and not app.state.asks_for_keys:
        raise FAULTS("keys_unused")
    tls = certificate_of(config)
    if on_ready is None:
        on_ready = functools.partial(announce, keys=app.state.asks_for_keys)
    with bind(host, port) as listening:
        Server(app, listening, on_ready=on_ready, grace_s=config.grace, tls=tls).run_to_end()


@contextlib.contextmanager
def served(app: FastAPI, *, grace_s: float = 5.0, tls: Certificate | None = None) -> Iterator[str]:
    """Serve from a thread of its own on a free port of this machine while the context lasts; gives the URL."""
    started = threading.Event()
    faults: list[BaseException] = []

    def run() -> None:
        try:
            server.run_to_end()
        except BaseException as error:
            faults.append(error)
        finally:
            started.set()

    with bind("127.0.0.1", 0) as listening:
        server = Server(app, listening, on_ready=lambda _: started.set(), grace_s=grace_s, tls=tls)
        thread = threading.Thread(target=run, name="service", daemon=True)
        thread.start()
        started.wait()
        try:
            if not faults:
                yield server.url
        finally:
            server.stop()
            thread.join()
    if faults:
        raise faults[0]


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; raise InputError where the address cannot be had."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise _refusal(errno.EADDRNOTAVAIL, "", host, port) from error
    family, socket_type, protocol, _, address = min(addresses, key=lambda entry: entry[0] != socket.AF_INET)
    listening = socket.socket(family, socket_type, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise _refusal(error.errno or 0, str(error.strerror), host, port) from error
    return listening


class Server(uvicorn.Server):
    """Uvicorn's server with our ending: exit code 0 after a signal, and no wait without end."""

    def __init__(
        self,
        app: FastAPI,
        listening: socket.socket,
        *,
        on_ready: Callable[[str], None],
        grace_s: float,
        tls: Certificate | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Connection,
                loop="asyncio",
                ws="none",
                lifespan="on",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                backlog=_BACKLOG,
                timeout_keep_alive=int(_KEEP_ALIVE_S),
            )
        )
        self._app = app
        self._listening = listening
        self._tls = tls
        self.url = _url_of(listening, "http" if tls is None else "https")
        self._on_ready = on_ready
        self._grace_s = grace_s

    def run_to_end(self) -> None:
        """Run until `stop` or a signal; raise what the app's on_start or on_stop raised."""
        with _quiet():
            try:
                self.run([self._listening])
            except SystemExit as error:  # uvicorn's word for a start that failed
                raise self._app.state.fault or FAULTS("start_failed") from error
        if self._app.state.fault is not None:
            raise self._app.state.fault

    def stop(self) -> None:
        """Begin the shutdown; a second call ends the grace of requests under way."""
        self._app.state.draining = True
        self.force_exit = self.should_exit
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Take a signal; unlike uvicorn's it is not raised again at the end, so the command ends with 0."""
        self.stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and announce where."""
        if self._tls is not None:
            self.config.ssl = self._tls.context
        await super().startup(sockets)
        if self.started and not self.should_exit:
            self._on_ready(self.url)

    async def on_tick(self, counter: int) -> bool:
        """Once a second look for a renewed certificate; one that cannot be used is told of, and not taken."""
        fault = self._tls.renew() if self._tls is not None and counter % _TICKS_A_SECOND == 0 else None
        if fault is not None:
            self._app.state.answers.event("certificate_kept", code=fault.code)
            print_note(f"the certificate of before stays in use: {fault.sentence}")
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, let requests end, cancel those that do not, then stop the app."""
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._idle(self._grace_s, forced=lambda: self.force_exit)
        for task in list(self.server_state.tasks):
            task.cancel()
        await self._idle(_UNWIND_S, forced=lambda: False)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(self._grace_s, _UNWIND_S)):
                await self.lifespan.shutdown()

    async def _idle(self, seconds: float, *, forced: Callable[[], bool]) -> None:
        """Wait until no request is under way and every answer is on its way, at most so long."""
        end = asyncio.get_running_loop().time() + seconds
        state = self.server_state
        while (state.tasks or state.connections) and not forced() and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(_TICK_S)


class _Connection(H11Protocol):
    """Uvicorn's connection, with a bound on the time that a request's head may take."""

    _head_timeout: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timeout = self.loop.call_later(_HEAD_S, transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._head_timeout is None:
            self._head_timeout = self.loop.call_later(_HEAD_S, self.transport.close)

    def on_response_complete(self) -> None:
        self._stop_waiting()  # from here on uvicorn's own timer of idle connections counts
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._head_timeout is not None:
            self._head_timeout.cancel()
            self._head_timeout = None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep uvicorn's words to core.terminal.silence, which counts them: they quote requests."""
    logger = logging.getLogger("uvicorn")
    before = logger.propagate, list(logger.handlers)
    logger.propagate, logger.handlers = False, [logging.NullHandler()]
    try:
        yield
    finally:
        logger.propagate, logger.handlers = before


def _url_of(listening: socket.socket, scheme: str) -> str:
    host, port = listening.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _refusal(number: int, words: str, host: str, port: int) -> InputError:
    if number in _CODES:
        return ADDRESS(_CODES[number], host=host, port=port)
    return ADDRESS("host_unusable", host=host, port=port, cause=words)
