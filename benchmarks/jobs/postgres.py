"""A PostgreSQL server of one's own, on a Unix socket in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from core.errors import InputError

START_S = 60.0


class PostgresServer:
    """A running server, which may be stopped and started again. url: with `{}` for the name of a database."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.url = f"postgresql://tester@/{{}}?host={folder}"
        self._folder = folder
        self._postgres = programs / "postgres"
        self._as_user: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        data = folder / "data"
        making: list[str | Path] = [
            programs / "initdb",
            "-D",
            data,
            "-U",
            "tester",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
        ]
        subprocess.run([*self._as_user, *making], check=True, capture_output=True, cwd=folder)
        self.start()

    def start(self) -> None:
        """Start the server, and return once it answers."""
        options: list[str | Path] = [
            "-D",
            self._folder / "data",
            "-k",
            self._folder,
            "-c",
            "fsync=off",
            "-c",
            "listen_addresses=",
        ]
        self._process = subprocess.Popen(
            [*self._as_user, self._postgres, *options],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > end:
                raise InputError("postgres_start", f"PostgreSQL did not answer within {START_S:.0f} s")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server at once, as a crash would: every connection breaks."""
        self._process.send_signal(3)  # SIGQUIT: an immediate shutdown
        self._process.wait(START_S)

    def new_database(self, name: str) -> str:
        """Make a database, and return its URL."""
        with psycopg.connect(self.url.format("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url.format(name)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url.format("postgres")).close()
        except psycopg.OperationalError:  # it is still starting
            return False
        return True


@contextlib.contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Yield a server of one's own. Raises InputError where PostgreSQL is not installed."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    binary = shutil.which("postgres") or (str(installed[-1]) if installed else None)
    if binary is None:
        raise InputError("postgres_missing", "PostgreSQL is not installed: Debian's package is postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = PostgresServer(Path(binary).resolve().parent, folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
