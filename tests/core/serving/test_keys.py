"""The file of keys: what it holds, what it refuses, and that a service follows its changes."""

from __future__ import annotations

import json
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError
from core.serving import keys
from core.serving.keys import KeyRing, new_key, read_keys, revoke_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_is_found_by_its_secret_which_the_file_does_not_hold(path: Path) -> None:
    secret = new_key(path, "scoring", "use", requests_per_minute=5)
    other = new_key(path, "nurse", "read")
    file = read_keys(path)
    key = file.find(secret.encode())
    assert key is not None
    assert (key.name, key.role, key.requests_per_minute, key.requests_at_once) == ("scoring", "use", 5, None)
    assert file.find(other.encode()) == file.keys[1]
    assert file.find(secret.encode()[:-1]) is file.find(b"") is file.find(b"\xff") is None
    text = path.read_text("utf-8")
    assert secret not in text
    assert secret.removeprefix(keys.PREFIX) not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["keys.json"]


def test_secrets_are_long_and_differ_and_digests_differ_by_file(path: Path, tmp_path: Path) -> None:
    secrets = {new_key(path, f"k{number}", "use") for number in range(20)}
    assert len(secrets) == 20
    assert {len(secret) for secret in secrets} == {len(keys.PREFIX) + 43}  # 256 bits in base64
    new_key(tmp_path / "other.json", "k", "use")
    secret = next(iter(secrets)).encode()
    assert read_keys(path).digest(secret) != read_keys(tmp_path / "other.json").digest(secret)


def test_the_digest_is_hmac_sha256(path: Path) -> None:
    # printf %s abc | openssl dgst -sha256 -mac HMAC -macopt hexkey:00112233445566778899aabbccddeeff
    path.write_text(json.dumps({"version": 1, "salt": "00112233445566778899aabbccddeeff"}))
    digest = "02581ea39a6cf2d752793fd782cfb9cf965be72b32b322c9551d03510645fb31"
    assert read_keys(path).digest(b"abc") == digest


def test_roles_include_those_before_them(path: Path) -> None:
    allowed = {}
    for role in keys.ROLES:
        new_key(path, role, role)
        allowed[role] = [other for other in keys.ROLES if read_keys(path).keys[-1].allows(other)]
    assert allowed == {"read": ["read"], "use": ["read", "use"], "admin": ["read", "use", "admin"]}


def test_a_revoked_key_is_gone_and_the_others_stay(path: Path) -> None:
    first, second = (new_key(path, name, "use") for name in ("first", "second"))
    assert revoke_key(path, "first").name == "first"
    assert read_keys(path).find(first.encode()) is None
    assert read_keys(path).find(second.encode()) is not None
    with pytest.raises(InputError, match=r'has no key "secnod": did you mean "second"\?'):
        revoke_key(path, "secnod")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"name": "a b"}, "keys_name"),
        ({"name": "1.2.3.4.5.6.7"}, "keys_name"),
        ({"name": "x" * 65}, "keys_name"),
        ({"name": "taken"}, "keys_name_taken"),
        ({"role": "root"}, "keys_value"),
        ({"requests_per_minute": 0}, "keys_value"),
        ({"expires": datetime(2020, 1, 1, tzinfo=UTC)}, "keys_expired_new"),
    ],
)
def test_a_key_that_cannot_be_is_refused_and_the_file_stays(
    path: Path, given: dict[str, Any], code: str
) -> None:
    new_key(path, "taken", "use")
    before = path.read_bytes()
    with pytest.raises(InputError) as caught:
        new_key(path, **{"name": "good", "role": "use", **given})
    assert caught.value.code == code
    assert path.read_bytes() == before


GOOD: dict[str, Any] = {"name": "a", "role": "use", "digest": "0" * 64, "created": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "Invalid JSON"),
        ("[]", "should be an object"),
        ({"version": 2}, "version: "),
        ({"keys": [{**GOOD, "digest": "hunter2"}]}, "keys.0.digest: String should match pattern"),
        ({"keys": [{**GOOD, "rôle": "hunter2"}]}, "Extra inputs are not permitted"),
        ({"keys": [{**GOOD, "expires": "2027-01-01T00:00:00"}]}, "timezone"),
        ({"keys": [GOOD, {**GOOD, "name": "b"}]}, "two keys have the same name or digest"),
        ({"keys": [GOOD, {**GOOD, "digest": "1" * 64}]}, "two keys have the same name or digest"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(path: Path, content: Any, fault: str) -> None:
    whole = {"salt": "0" * 32, **content} if isinstance(content, dict) else content
    path.write_text(whole if isinstance(whole, str) else json.dumps(whole))
    with pytest.raises(InputError) as caught:
        read_keys(path)
    assert caught.value.code == "keys_unreadable"
    assert fault in caught.value.sentence
    assert "hunter2" not in caught.value.sentence
    assert "\n" not in caught.value.sentence


def test_a_file_that_everyone_may_write_or_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(InputError, match="No such file") as missing:
        read_keys(path)
    new_key(path, "a", "use")
    path.chmod(0o666)
    with pytest.raises(InputError, match="could add a key: chmod 600") as writable:
        read_keys(path)
    assert (missing.value.code, writable.value.code) == ("keys_missing", "keys_writable")


def test_keys_made_at_once_are_all_kept(path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: new_key(path, f"k{number}", "use"), range(12)))
    assert len(read_keys(path).keys) == 12


def test_a_key_ends_at_its_time() -> None:
    now = datetime.now(UTC)
    key = keys.Key.model_validate({**GOOD, "expires": now + timedelta(seconds=1)})
    assert not key.expired(now)
    assert key.expired(now + timedelta(seconds=1))


def test_a_changed_file_is_read_again_and_a_broken_one_is_told_of_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_LOOK_AGAIN_S", 0.0)
    first = new_key(path, "first", "use").encode()
    ring = KeyRing(path)
    assert ring.renew() is None
    second = new_key(path, "second", "use").encode()
    assert ring.find(second) is None
    assert ring.renew() is None
    assert ring.find(second) is not None
    good = path.read_bytes()
    path.write_bytes(good[:-10])
    faults = [ring.renew() for _ in range(3)]
    assert [fault and fault.code for fault in faults] == ["keys_unreadable", None, None]
    assert ring.find(first) is not None
    path.unlink()
    assert [fault and fault.code for fault in (ring.renew(), ring.renew())] == ["keys_missing", None]
    path.write_bytes(good)
    revoke_key(path, "first")
    assert ring.renew() is None
    assert (ring.find(first), len(ring)) == (None, 1)


def test_a_file_is_not_looked_at_for_each_request(path: Path) -> None:
    secret = new_key(path, "first", "use").encode()
    ring = KeyRing(path)
    revoke_key(path, "first")
    assert ring.renew() is None
    assert ring.find(secret) is not None
    time.sleep(keys._LOOK_AGAIN_S)
    assert ring.renew() is None
    assert ring.find(secret) is None
