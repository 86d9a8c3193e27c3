"""Certificates for tests, made by openssl on the spot."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make_certificate(folder: Path, name: str, *, kind: str = "ec") -> tuple[Path, Path]:
    """Write a self-signed certificate of 127.0.0.1 and localhost, and its key; kind: ec or rsa."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    new = (
        ["-newkey", "rsa:2048"] if kind == "rsa" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    )
    names = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    files = ["-out", certificate, "-keyout", key]
    words = ["openssl", "req", "-x509", *new, "-noenc", "-days", "2", *names, *files]
    subprocess.run(words, check=True, capture_output=True)
    return certificate, key
