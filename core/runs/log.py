"""The run's log: JSON lines whose fields come from an allow-list, so that no patient data can enter it."""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import math
import os
import re
import secrets
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from core.runs.outputs import output_error
from core.runs.reasons import RECORDS
from core.runs.state import state_folder

# Every field a log line may have, with its type: "number" is a number, a bool or null; "word" is a short token
# without spaces, chosen by the program or by who runs it, and never copied from an input; "words" is a list of such
# tokens; "pseudonym" is 12 hex digits that reveal nothing: what `pseudonym` returns, or drawn at random; "request" is
# such digits, or the name that a proxy drew for a request. There is no type for free text.
FIELDS = {
    "accepted": "number",
    "bytes": "number",
    "code": "word",
    "count": "number",
    "exit_code": "number",
    "frames": "words",
    "item": "pseudonym",
    "items": "number",
    "key": "word",
    "learning_rate": "number",
    "loss": "number",
    "method": "word",
    "module": "word",
    "ms": "number",
    "name": "word",
    "quarantined": "number",
    "request": "request",
    "route": "word",
    "seconds": "number",
    "seed": "number",
    "skipped": "number",
    "stage": "word",
    "status": "number",
    "step": "number",
    "steps": "number",
    "type": "word",
    "value": "number",
    "where": "word",
}

_WORD = re.compile(r"[A-Za-z0-9_.:/<>+@=-]{1,200}")
_UID = re.compile(r"\d+(\.\d+){5,}")
_PSEUDONYM = re.compile(r"[0-9a-f]{12}")
REQUEST_ID = re.compile(r"[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_PATTERNS = {"pseudonym": _PSEUDONYM, "request": REQUEST_ID}
_KEY_BYTES = 32


class RunLog:
    """Append events to a JSON-lines file; one writer a process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # unbuffered: nothing is left to fail when it is closed
            self._stream = path.open("ab", buffering=0)
        except OSError as error:
            raise output_error(error, path.parent) from error

    def event(self, name: str, /, **fields: Any) -> None:
        """Write one line: time (UTC seconds), event, fields.

        Raises InternalFault for a field outside FIELDS or a value that is not of its type. NaN becomes null.
        """
        _check("event", "word", name)
        line: dict[str, Any] = {"time": round(time.time(), 3), "event": name}
        for key, value in fields.items():
            if key not in FIELDS:
                raise RECORDS("log_field", field=key)
            line[key] = _check(key, FIELDS[key], value)
        try:
            self._stream.write((json.dumps(line) + "\n").encode("ascii"))
        except OSError as error:
            raise output_error(error, self.path.parent) from error

    def close(self) -> None:
        """Close the file; events after that raise ValueError."""
        self._stream.close()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check(key: str, field_type: str, value: Any) -> Any:
    if field_type == "number":
        return _number(key, value)
    words = value if field_type == "words" else [value]
    pattern = _PATTERNS.get(field_type, _WORD)
    for word in words:
        if not isinstance(word, str) or not pattern.fullmatch(word) or _UID.search(word):
            raise RECORDS("log_value", field=key, type=field_type)
    return value


def _number(key: str, value: Any) -> float | int | bool | None:
    if value is None or isinstance(value, (bool, int)):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = None
    if number is None or isinstance(value, str):
        raise RECORDS("log_value", field=key, type="number") from None
    return number if math.isfinite(number) else None


def pseudonym(uid: str) -> str:
    """Return 12 hex digits that stand for a UID in logs: HMAC-SHA256, keyed so that nobody can try UIDs out.

    The key is $TRIPTYCH_LOG_KEY, else a random one kept in the user's state folder, so that the same series has
    the same pseudonym in every run of one user. Where that folder cannot be written, it lasts for this process.
    """
    return hmac.new(_key(), uid.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:12]


def key_path() -> Path:
    """Return where the user's own key lies."""
    return state_folder() / "log.key"


def _key() -> bytes:
    given = os.environ.get("TRIPTYCH_LOG_KEY")
    if given:
        return given.encode("utf-8", "surrogateescape")
    path = key_path()
    try:
        return path.read_bytes() if path.exists() else _make_key(path)
    except OSError:
        return _key_of_process()


@functools.cache
def _key_of_process() -> bytes:
    return secrets.token_bytes(_KEY_BYTES)


def _make_key(path: Path) -> bytes:
    """Make the key file with mode 600. `link` fails if another process was first: then its key counts."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(secrets.token_bytes(_KEY_BYTES))
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(temporary)
    return path.read_bytes()
