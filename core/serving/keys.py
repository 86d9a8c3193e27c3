"""A file of API keys: who may use a service, in what role, within which limits, and until when.

The file (JSON) holds no secret: of each key the HMAC-SHA256 of its secret, under a random salt of the file. A slow
hash, as passwords need it, is not needed: a secret is 256 random bits, which nobody finds by trying however fast one
try is. The salt keeps the digests of two files, or of a leaked list of keys, from being compared.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import InputError
from core.runs.files import file_stamp, write_private
from core.serving.reasons import KEYS
from core.text.nearest import did_you_mean

READ, USE, ADMIN = "read", "use", "admin"
# Each includes those before it.
ROLES = {
    READ: "metadata and lists",
    USE: "work: what the service is for",
    ADMIN: "the service itself: which models are loaded, and its metrics where these are guarded",
}
PREFIX = "triptych_"  # by which scanners for leaked secrets know one
_SECRET_BYTES = 32
_LOOK_AGAIN_S = 0.5  # a request does not look at the file more often
Limit = Annotated[int, Field(ge=1, le=1_000_000)]


class Key(BaseModel):
    """One key. digest: of its secret, in hex. requests_per_minute, requests_at_once: None sets no limit.

    The name stands in logs, so it is a word.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    role: Literal["read", "use", "admin"]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    requests_per_minute: Limit | None = None
    requests_at_once: Limit | None = None

    def expired(self, now: datetime) -> bool:
        """Whether the key counts no more."""
        return self.expires is not None and now >= self.expires

    def allows(self, role: str) -> bool:
        """Whether the key may do what needs a role."""
        order = list(ROLES)
        return order.index(self.role) >= order.index(role)


class KeyFile(BaseModel):
    """The content of a file of keys; names and digests are there once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{32,}$")]
    keys: tuple[Key, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> KeyFile:
        for values in ([key.name for key in self.keys], [key.digest for key in self.keys]):
            if len(set(values)) < len(values):
                raise ValueError("two keys have the same name or digest")
        return self

    def digest(self, secret: bytes) -> str:
        """Return what the file holds of a secret."""
        return hmac.new(bytes.fromhex(self.salt), secret, hashlib.sha256).hexdigest()

    def find(self, secret: bytes) -> Key | None:
        """Return the key with this secret, expired or not; in a time that tells nothing of the digests."""
        digest = self.digest(secret)
        found = None
        for key in self.keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found


class KeyRing:
    """The keys of a file as it is now. Raises InputError where it cannot be used at the start.

    open_metrics: whether /metrics needs none of them.
    """

    def __init__(self, path: Path, *, open_metrics: bool = True) -> None:
        self.path, self.open_metrics = path, open_metrics
        self._stamp = file_stamp(path)
        self._file = read_keys(path)
        self._next_look = time.monotonic() + _LOOK_AGAIN_S

    def __len__(self) -> int:
        return len(self._file.keys)

    def find(self, secret: bytes) -> Key | None:
        """Return the key with this secret, expired or not."""
        return self._file.find(secret)

    def renew(self) -> InputError | None:
        """Read the file again if it changed; return once why a new version cannot be used: the keys of before stay."""
        if time.monotonic() < self._next_look:
            return None
        self._next_look = time.monotonic() + _LOOK_AGAIN_S
        stamp = file_stamp(self.path)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            self._file = read_keys(self.path)
        except InputError as error:
            return error
        return None


def read_keys(path: Path) -> KeyFile:
    """Return the keys of a file. Raises InputError: keys_missing, keys_unreadable, keys_writable."""
    try:
        content = path.read_bytes()
        everyone_writes = path.stat().st_mode & stat.S_IWOTH
    except OSError as error:
        raise KEYS("keys_missing", path=path, cause=error.strerror) from None
    if everyone_writes:
        raise KEYS("keys_writable", path=path)
    try:
        return KeyFile.model_validate_json(content)
    except ValidationError as error:
        raise KEYS("keys_unreadable", path=path, fault=": ".join(filter(None, _first(error)))) from None


def new_key(
    path: Path,
    name: str,
    role: str,
    *,
    requests_per_minute: int | None = None,
    requests_at_once: int | None = None,
    expires: datetime | None = None,
) -> str:
    """Add a key to a file, which is made where there is none, and return its secret: it is kept nowhere.

    Raises InputError: keys_name, keys_name_taken, keys_value for a limit that no key may have, keys_expired_new.
    """
    secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    now = datetime.now(UTC).replace(microsecond=0)
    if expires is not None and expires <= now:
        raise KEYS("keys_expired_new", expires=expires.isoformat())
    with _changing(path):
        file = read_keys(path) if path.exists() else KeyFile(salt=secrets.token_hex(16))
        if any(key.name == name for key in file.keys):
            raise KEYS("keys_name_taken", path=path, name=name)
        content = {
            "name": name,
            "role": role,
            "digest": file.digest(secret.encode()),
            "created": now,
            "expires": expires,
            "requests_per_minute": requests_per_minute,
            "requests_at_once": requests_at_once,
        }
        _write(path, file, (*file.keys, _checked(content)))
    return secret


def revoke_key(path: Path, name: str) -> Key:
    """Take a key out of a file and return it. Raises InputError, keys_name_unknown."""
    with _changing(path):
        file = read_keys(path)
        gone = next((key for key in file.keys if key.name == name), None)
        if gone is None:
            hint = did_you_mean(name, [key.name for key in file.keys])
            raise KEYS("keys_name_unknown", path=path, name=name, hint=hint)
        _write(path, file, tuple(key for key in file.keys if key is not gone))
    return gone


def _checked(content: Mapping[str, object]) -> Key:
    """Return a new key. Raises InputError: keys_name, keys_value."""
    try:
        return Key.model_validate(content)
    except ValidationError as error:
        field, fault = _first(error)
        raise (
            KEYS("keys_name") if field == "name" else KEYS("keys_value", field=field, fault=fault)
        ) from None


def _first(error: ValidationError) -> tuple[str, str]:
    """Return the field that is first at fault, and the fault; no value is quoted."""
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return ".".join(map(str, fault["loc"])), fault["msg"]


def _write(path: Path, file: KeyFile, keys: tuple[Key, ...]) -> None:
    changed = file.model_copy(update={"keys": keys})
    write_private(path, (changed.model_dump_json(indent=2, exclude_none=True) + "\n").encode())


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[None]:
    """Keep other commands from changing the file meanwhile, by a lock on its folder, which a rename leaves alone."""
    try:
        folder = os.open(path.absolute().parent, os.O_RDONLY)
    except OSError as error:
        raise KEYS("keys_missing", path=path, cause=error.strerror) from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
