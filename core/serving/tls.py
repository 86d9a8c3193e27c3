"""The certificate of a service, read from files and renewed from them while it runs."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NoReturn

from core.errors import InputError
from core.runs.files import file_stamp
from core.serving.config import ServingConfig
from core.serving.reasons import TLS

# OpenSSL's words for a key of another certificate, the last for one of another kind (RSA beside an elliptic curve).
_MISMATCH = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


class Certificate:
    """A certificate with its chain, and its private key, both PEM files. Raises InputError where they cannot be used.

    context: what connections are made with. It stays the same object when the files are renewed: those under way keep
    the certificate of their beginning.
    """

    def __init__(self, certificate: Path, private_key: Path) -> None:
        self._files = (certificate, private_key)
        self._stamp = self._stamps()
        self.context = _context(*self._files)

    def renew(self) -> InputError | None:
        """Load the files again if they changed; return once why they cannot be used: the ones of before stay.

        Tools that renew a certificate write the two files one after the other; between them they do not match.
        """
        stamp = self._stamps()
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            _context(*self._files)
            _load(self.context, *self._files)
        except InputError as error:
            return error
        return None

    def _stamps(self) -> tuple[tuple[int, ...] | None, ...]:
        return tuple(map(file_stamp, self._files))


def certificate_of(config: ServingConfig) -> Certificate | None:
    """Return the certificate that a service speaks HTTPS with, None where it speaks HTTP. Raises InputError."""
    if config.certificate is None or config.private_key is None:
        return None
    return Certificate(Path(config.certificate), Path(config.private_key))


def _context(certificate: Path, private_key: Path) -> ssl.SSLContext:
    """Return a server's context, TLS 1.2 or later, with Python's own choice of ciphers."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    _load(context, certificate, private_key)
    return context


def _load(context: ssl.SSLContext, certificate: Path, private_key: Path) -> None:
    for path, mark, code in (
        (certificate, b"-----BEGIN CERTIFICATE-----", "tls_no_certificate"),
        (private_key, b"PRIVATE KEY-----", "tls_no_key"),
    ):
        if mark not in _content(path):
            raise TLS(code, path=path)

    def no_passphrase() -> NoReturn:
        raise TLS("tls_key_encrypted", path=private_key)

    try:
        context.load_cert_chain(certificate, private_key, password=no_passphrase)
    except ssl.SSLError as error:
        if error.reason in _MISMATCH:
            raise TLS("tls_mismatch", key=private_key, certificate=certificate) from None
        try:
            ssl.create_default_context(cafile=str(certificate))
        except ssl.SSLError:
            raise TLS("tls_no_certificate", path=certificate) from None
        raise TLS("tls_no_key", path=private_key) from None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TLS("tls_unreadable", path=path, cause=error.strerror) from None
