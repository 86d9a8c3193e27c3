from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.models.findings import Finding
from apps.nodule.reasons import note
from apps.nodule.report.page import DISCLAIMER, series_page
from apps.nodule.report.reported import reported


class Outline(HTMLParser):
    """Counts what a reader's tools search for."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.unnamed = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        if "id" in named:
            self.anchors.add(f"#{named['id']}")
        if tag == "a":
            self.links.add(str(named["href"]))
        if tag == "svg" and not named.get("aria-label"):
            self.unnamed += 1


def render(volume: Volume, findings: list[Finding], model: ModelInfo) -> str:
    candidates = [finding.candidate for finding in findings]
    return series_page(volume, candidates, reported(volume, findings), model).render()


def test_page_shows_each_finding_in_three_planes(
    volume: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    html = render(volume, findings, model)
    outline = Outline(html)
    assert "<h1>2 nodules found</h1>" in html
    assert "The largest, nodule 2, measures 12.0 mm and has a probability of 0.55." in html
    assert outline.tags.count("svg") == 2 + 2 * 3
    assert outline.unnamed == 0
    assert outline.links == {"#nodule-1", "#nodule-2"} <= outline.anchors
    assert DISCLAIMER in html
    assert "One slice was missing." in html
    assert volume.uid in html
    assert "<dt>Outlined on slices</dt><dd>12\N{EN DASH}14</dd>" in html


def test_page_needs_nothing_from_outside(volume: Volume, findings: list[Finding], model: ModelInfo) -> None:
    html = render(volume, findings, model)
    assert "<script" not in html
    assert re.findall(r"https?://[^\s\"']+", html) == []
    sources = re.findall(r'(?:src|href)="([^"]{0,24})', html)
    assert len(sources) > 8
    assert all(source.startswith(("#", "data:image/png;base64,")) for source in sources)


def test_page_of_nothing_found(volume: Volume, model: ModelInfo) -> None:
    html = render(volume, [], model)
    assert "<h1>No nodule found</h1>" in html
    assert "reached the working point of 0.40" in html
    assert "Nothing was found, so there is no segmentation file." in html
    assert "<table" not in html
    assert Outline(html).tags.count("svg") == 2


def test_page_without_a_lung_says_so_first(volume: Volume, model: ModelInfo) -> None:
    html = render(replace(volume, notes=(note("no_lung", limit=20),)), [], model)
    assert "<h1>No lung found</h1>" in html
    assert "No nodule was searched for." in html
    assert "Nothing at or above the working point" not in html
    assert "no air space holds 20 ml of lung tissue" in html


def test_page_says_what_was_not_searched_before_the_findings(
    volume: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    limits = (note("not_searched", largest=90), note("candidate_limit", limit=100, left=7))
    html = render(replace(volume, notes=limits), findings, model)
    assert all(html.index(sentence) < html.index("At a glance") for _, sentence in limits)


def test_one_nodule_is_singular(volume: Volume, findings: list[Finding], model: ModelInfo) -> None:
    assert "<h1>1 nodule found</h1>" in render(volume, findings[:1], model)


def test_page_holds_no_patient_attribute(volume: Volume, findings: list[Finding], model: ModelInfo) -> None:
    for item in volume.sources:
        item.PatientName, item.PatientID, item.InstitutionName = "CANARY^Name", "CANARY-ID", "CANARY Hospital"
    assert "CANARY" not in render(volume, findings, model)


def test_page_says_which_scan_it_is_and_what_to_know_first(
    volume: Volume, findings: list[Finding], model: ModelInfo
) -> None:
    for item in volume.sources:
        item.SeriesDescription = "Thorax <lung> & B60f"
    html = render(volume, findings, model)
    assert "<dt>Series description</dt><dd>Thorax &lt;lung&gt; &amp; B60f</dd>" in html
    assert "<dt>Study date</dt><dd>2019-03-04</dd>" in html
    assert html.count("One slice was missing.") == 1
    assert html.index("One slice was missing.") < html.index("At a glance")


def test_page_of_a_scan_without_description_or_date(volume: Volume, model: ModelInfo) -> None:
    for item in volume.sources:
        item.StudyDate = ""
    for seen in (volume, replace(volume, sources=())):
        html = render(seen, [], model)
        assert "<dt>Series description</dt><dd>none given</dd>" in html
        assert "<dt>Study date</dt><dd>none given</dd>" in html


def test_page_says_why_a_side_is_not_known(volume: Volume, findings: list[Finding], model: ModelInfo) -> None:
    html = render(replace(volume, is_oriented=False, sources=()), findings, model)
    assert html.count("not known: the file does not say how its axes lie in the patient") == 2
    assert "<dd>left</dd>" not in html
    assert "<dd>right</dd>" not in html
