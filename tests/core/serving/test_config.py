"""The options of every service: what they refuse, and that they cost no HTTP package."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.errors import ConfigError
from core.serving.config import ServingConfig


@pytest.mark.parametrize(
    "origin",
    [
        "app.example.org", "https://app.example.org/", "*", "null", "https://a b", "ftp://a",
        "https://app.example.org?x", "https://user@host",
    ],
)  # fmt: skip
def test_what_is_not_an_origin_is_refused(origin: str) -> None:
    with pytest.raises(ConfigError, match="an origin is written as") as caught:
        ServingConfig(origins=["https://good.example", origin])
    assert caught.value.code == "serve_origin"


def test_an_option_names_its_full_path() -> None:
    with pytest.raises(ConfigError, match=r"serve\.body_mb=0 is out of range"):
        ServingConfig(body_mb=0)


def test_the_options_are_read_without_http_packages() -> None:
    script = "import sys, core.serving.config; print([name for name in ('fastapi', 'uvicorn') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("given", "lacking"), [("certificate", "private_key"), ("private_key", "certificate")]
)
def test_half_of_what_https_needs_is_refused(given: str, lacking: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ServingConfig(**{given: "file.pem"})
    assert (
        caught.value.sentence
        == f"serve.{given}= is of use with serve.{lacking}= alone: add serve.{lacking}=FILE"
    )
