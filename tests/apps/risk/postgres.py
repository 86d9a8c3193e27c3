"""A PostgreSQL server for tests of the risk app, with one user who needs a password."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL

PASSWORD = "s3cret/+pass"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def postgres_server(user: str) -> Iterator[URL]:
    """Start a server on a free port and yield the URL of its database; skip the test where none is installed."""
    pytest.importorskip("psycopg", reason="a test on PostgreSQL needs psycopg")
    if shutil.which("initdb") is None or shutil.which("postgres") is None:
        pytest.skip("no PostgreSQL server is installed")
    folder = Path(tempfile.mkdtemp(prefix="risk-postgres-"))
    (folder / "password").write_text(PASSWORD)
    common: dict[str, Any] = {"cwd": folder, "check": True, "stdout": subprocess.DEVNULL}
    if os.getuid() == 0:  # the server refuses to run as root
        common["user"] = "nobody"
        for path in (folder, folder / "password"):
            os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)
    port = free_port()
    data = folder / "data"
    access = ["-U", user, "-A", "scram-sha-256", f"--pwfile={folder}/password"]
    subprocess.run(["initdb", "-D", data, *access, "--no-sync"], **common)
    settings = (
        f"-F -c timezone=UTC -c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
    )
    control = ["pg_ctl", "-D", data, "-w", "-l", folder / "log"]
    subprocess.run([*control, "-o", settings, "start"], **common)
    try:
        yield URL.create("postgresql", user, PASSWORD, "127.0.0.1", port, "postgres")
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **common)
        shutil.rmtree(folder)
