"""`make demo`: one command, one page, whose links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.demo import main


@pytest.mark.e2e
@pytest.mark.timeout(600)  # three apps, one after the other, while other tests run
def test_the_demo_ends_with_the_path_of_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "a demo, with commas"
    assert main([f"output={output}", f"run_dir={tmp_path / 'run'}"]) == 0
    said = capsys.readouterr()
    page = Path(said.out.splitlines()[-1])
    assert page == output / "index.html"
    assert said.err == ""
    html = page.read_text(encoding="utf-8")
    links = re.findall(r'<a href="([^"#]+)"', html)
    assert len(links) == 2 + 2 + 3
    assert all((output / link).is_file() for link in links)
    nodules, rest = html.split("Market and credit risk")
    risk, pictures = rest.split("Pictures from words")
    assert len(re.findall(r"<tr>", nodules)) == 1 + 5  # the head and a row for each nodule put in
    assert len(re.findall(r">B\d{6}<", risk)) == 10  # the borrowers most likely to default
    assert risk.count("<svg") == 3 + 1  # a fan of each market, and a walk
    assert pictures.count("<svg") == 1 + 1  # the contact sheet, and where words were looked at
    # each picture with its attention
    assert len(list((output / "imagegen" / "pictures").glob("*_seed-*.png"))) == 12 * 2
    assert "found; " in html


def test_a_wrong_field_ends_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ouput=x"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == 'triptych-demo: unknown field "ouput"; did you mean "output"?\n'
