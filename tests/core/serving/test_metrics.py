from __future__ import annotations

from prometheus_client import REGISTRY, Counter
from prometheus_client.parser import text_string_to_metric_families

from core.serving.metrics import Metrics, known_method


def values(metrics: Metrics) -> dict[tuple[str, str], float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {(s.name, s.labels.get("status", "")): s.value for family in families for s in family.samples}


def test_requests_are_counted_and_timed() -> None:
    metrics = Metrics()
    metrics.request("GET", "/a/{b}", 200, 0.3)
    metrics.request("GET", "/a/{b}", 200, 0.1)
    metrics.request("GET", "/a/{b}", 404, 0.2)
    samples = values(metrics)
    assert samples["http_requests_total", "200"] == 2
    assert samples["http_requests_total", "404"] == 1
    assert samples["http_request_seconds_count", ""] == 3
    assert abs(samples["http_request_seconds_sum", ""] - 0.6) < 1e-9


def test_the_process_is_described() -> None:
    names = {name for name, _ in values(Metrics())}
    assert {"process_resident_memory_bytes", "process_open_fds", "python_info"} <= names


def test_an_app_adds_its_own_and_the_global_registry_stays_as_it_was() -> None:
    before = {metric.name for metric in REGISTRY.collect()}
    metrics = Metrics()
    Counter("pictures", "Pictures drawn.", registry=metrics.registry).inc(3)
    assert values(metrics)["pictures_total", ""] == 3
    assert {metric.name for metric in REGISTRY.collect()} == before


def test_invented_methods_make_no_new_series() -> None:
    metrics = Metrics()
    for i in range(100):
        metrics.request(f"METHOD{i}", "/", 405, 0.0)
    lines = [line for line in metrics.text().decode().splitlines() if line.startswith("http_requests_total")]
    assert lines == ['http_requests_total{method="other",route="/",status="405"} 100.0']
    assert known_method("get") == "other"
    assert known_method("POST") == "POST"
