"""The site builds strictly, without a network, and nothing in it loads from another host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate.site import ROOT, pages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EXTERNAL = re.compile(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="(https?:[^"]+)"')


def build(config: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "http_proxy": "http://127.0.0.1:9", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_builds_strictly_with_every_generated_page(site: Path) -> None:
    written = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert "index.md" in written
    for name in (*pages(), *written):
        assert (site / name).with_suffix(".html").is_file(), name
    assert not list(site.rglob("*.py"))


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    htmls = list(site.rglob("*.html"))
    assert len(htmls) > 13
    assert {(path.name, url) for path in htmls for url in EXTERNAL.findall(path.read_text("utf-8"))} == set()


def test_a_broken_link_fails(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# A\n[there](there.md) [here](#nothing)\n", encoding="utf-8")
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for part in (r"hooks: .*\n", r"plugins:\n(?:  .*\n)+", r"nav:\n(?:  .*\n)+"):
        config = re.sub(part, "", config)
    (tmp_path / "mkdocs.yml").write_text(config + "plugins: []\n", encoding="utf-8")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 1
    assert "'there.md'" in done.stderr
    assert "'#nothing'" in done.stderr
