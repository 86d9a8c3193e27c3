"""Settings of `triptych-models`, which serves exported networks; free of torch and HTTP packages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.export.formats import AUTO, RUNTIMES
from core.serving.config import ServingConfig, host_option, port_option
from core.settings.schema import EVERY, Section, path_text, section, setting

STAGES = {"serve": "serve the networks of stage=export by the Open Inference Protocol"}
_SERVE = tuple(STAGES)


@dataclass
class ModelsConfig(Section):
    """The whole command line of triptych-models."""

    seed: ClassVar[int] = 0  # nothing here is random

    stage: str = setting("serve", "what to do", choices=STAGES, stages=EVERY)
    artifacts: str | None = path_text(
        None, "folders of stage=export, comma-separated; a model is called APP-NETWORK", needed_by=_SERVE
    )
    runtime: str = setting(
        AUTO,
        "format that runs; auto: of each network the fastest by its manifest",
        choices=(AUTO, *RUNTIMES),
        stages=_SERVE,
    )
    processes: int = setting(1, "processes of each model", unit="processes", low=1, high=256, stages=_SERVE)
    threads: int | None = setting(
        None,
        "threads of each process; null: as many as its format takes by itself",
        unit="threads",
        low=1,
        high=1024,
        stages=_SERVE,
    )
    waiting: int = setting(
        64,
        "queue capacity of each model (HTTP 429 beyond it)",
        unit="requests",
        low=1,
        high=100_000,
        stages=_SERVE,
    )
    timeout: float = setting(
        60.0,
        "time for an answer, after which the model's process is ended (HTTP 504)",
        unit="s",
        above=0,
        high=86_400,
        stages=_SERVE,
    )
    start: float = setting(
        300.0, "time for a process to load its model", unit="s", above=0, high=86_400, stages=_SERVE
    )
    max_batch: int = setting(
        32,
        "rows that are computed at once, of requests that wait together, where a row depends on no other; 1: each "
        "request alone",
        unit="rows",
        low=1,
        high=65_536,
        stages=_SERVE,
    )
    batch_wait: float = setting(
        0.0,
        "time that a request waits for others while a process is idle",
        unit="ms",
        low=0,
        high=10_000,
        stages=_SERVE,
    )
    host: str = host_option(_SERVE)
    port: int = port_option(_SERVE)
    run_dir: str | None = path_text(None, "folder of this run's record", stages=EVERY)
    serve: ServingConfig = section(ServingConfig, stages=_SERVE)
