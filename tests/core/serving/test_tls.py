"""HTTPS from files: what a client sees, what is refused at the start, and a renewal while the service runs."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from core.errors import InputError
from core.runs.log import RunLog
from core.serving.config import ServingConfig
from core.serving.server import served
from core.serving.tls import Certificate, certificate_of
from tests.core.serving.certificates import make_certificate
from tests.core.serving.service import make, until


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    return {
        name: make_certificate(folder, name, kind=kind)
        for name, kind in (("one", "ec"), ("two", "ec"), ("three", "rsa"))
    }


def client_of(*certificates: Path) -> httpx.Client:
    context = ssl.create_default_context()
    for path in certificates:
        context.load_verify_locations(path)
    return httpx.Client(verify=context)


def shown_by(url: str) -> bytes:
    """The certificate that the service shows to a new connection."""
    host, _, port = url.removeprefix("https://").partition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, int(port))) as plain, context.wrap_socket(plain) as secure:
        content = secure.getpeercert(binary_form=True)
    assert content is not None
    return content


def content_of(certificate: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.read_text())


@pytest.mark.parametrize("name", ["one", "three"])
def test_a_client_that_knows_the_certificate_is_answered(
    pairs: dict[str, tuple[Path, Path]], name: str
) -> None:
    with served(make(), tls=Certificate(*pairs[name])) as url:
        assert url.startswith("https://127.0.0.1:")
        with client_of(pairs[name][0]) as client:
            assert client.get(f"{url}/empty").status_code == 200
        with client_of(pairs["two"][0]) as stranger, pytest.raises(httpx.ConnectError, match="certificate"):
            stranger.get(f"{url}/empty")
        with pytest.raises(httpx.HTTPError):
            httpx.get(url.replace("https", "http") + "/empty")


def test_old_versions_of_tls_are_not_spoken(pairs: dict[str, tuple[Path, Path]]) -> None:
    assert Certificate(*pairs["one"]).context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_files_that_cannot_be_used_are_named_in_one_line(
    pairs: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    (certificate, key), (_, other_key), (_, rsa_key) = pairs["one"], pairs["two"], pairs["three"]
    encrypted, torn, torn_key = tmp_path / "encrypted.key", tmp_path / "torn.pem", tmp_path / "torn.key"
    subprocess.run(
        ["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", encrypted], check=True
    )
    torn.write_text(certificate.read_text()[:200] + "\n-----END CERTIFICATE-----\n")
    torn_key.write_text(key.read_text()[:80] + "\n-----END PRIVATE KEY-----\n")
    codes = {}
    for wanted, pair in {
        "tls_unreadable": (tmp_path / "none.pem", key),
        "tls_no_certificate": (key, key),
        "tls_no_key": (certificate, certificate),
        "tls_mismatch": (certificate, other_key),
        "tls_key_encrypted": (certificate, encrypted),
    }.items():
        with pytest.raises(InputError) as caught:
            Certificate(*pair)
        codes[wanted] = caught.value.code
        assert "\n" not in caught.value.sentence
        assert "secret" not in caught.value.sentence
    assert codes == {code: code for code in codes}
    for code, pair in (
        ("tls_mismatch", (certificate, rsa_key)),
        ("tls_no_certificate", (torn, key)),
        ("tls_no_key", (certificate, torn_key)),
    ):
        with pytest.raises(InputError) as caught:
            Certificate(*pair)
        assert caught.value.code == code
    with pytest.raises(InputError, match="Is a directory"):
        Certificate(tmp_path, key)


def test_a_renewed_certificate_is_shown_to_new_connections_and_a_half_renewed_one_is_not(
    pairs: dict[str, tuple[Path, Path]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    certificate, key = tmp_path / "live.pem", tmp_path / "live.key"
    first, second = pairs["one"], pairs["two"]
    shutil.copy(first[0], certificate)
    shutil.copy(first[1], key)
    log_path = tmp_path / "log.jsonl"
    with RunLog(log_path) as log, served(make(log=log), tls=Certificate(certificate, key)) as url:
        assert shown_by(url) == content_of(first[0])
        with client_of(first[0], second[0]) as client:
            assert client.get(f"{url}/empty").status_code == 200
            shutil.copy(second[0], certificate)
            until(lambda: "certificate_kept" in log_path.read_text())
            assert shown_by(url) == content_of(first[0])
            shutil.copy(second[1], key)
            until(lambda: shown_by(url) == content_of(second[0]))
            assert client.get(f"{url}/empty").status_code == 200, "its connection is of before"
    events = [json.loads(line) for line in log_path.read_text().splitlines()]
    assert [each["code"] for each in events if each["event"] == "certificate_kept"] == ["tls_mismatch"]


def test_options_without_files_mean_http_and_half_of_them_are_refused(
    pairs: dict[str, tuple[Path, Path]],
) -> None:
    certificate, key = map(str, pairs["one"])
    assert certificate_of(ServingConfig()) is None
    both = certificate_of(ServingConfig(certificate=certificate, private_key=key))
    assert both is not None
    assert both.renew() is None
