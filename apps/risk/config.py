"""Settings of the risk app: every field with its unit and range; free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from apps.risk.reasons import OPTIONS
from core.compute.devices import ABOUT_DEVICE, DEVICES
from core.export.formats import chosen
from core.export.options import artifacts_option, check_device, formats_option, runtime_option
from core.serving.config import ServingConfig, host_option, port_option
from core.settings.schema import EVERY, MISSING, Section, check_value, free_text, path_text, section, setting
from core.settings.zones import check_zone
from core.training.config import TrainerConfig

STAGES = {
    "train": "train models on a table or a sample",
    "evaluate": "compare all models on the last dates of a table, and choose the champion",
    "score": "write VaR, ES, quantiles and default probabilities of one as-of time, or register a schedule",
    "backtest": "walk through the past day by day and test VaR and ES against what happened",
    "export": "write riskformer's networks in other formats, each checked against PyTorch and by its losses on a table",
    "plan": "work out memory and launch line of a training before it is started",
    "serve": "score tables that are sent over HTTP",
}
ON_TABLES = ("train", "evaluate", "score", "backtest")
WITH_WEIGHTS = (*ON_TABLES, "export")
SIZED = ("train", "plan")
EMBEDDED_SIZE = "tiny"
TARGET_MODELS = (
    "riskformer",
    "tft",
    "deepar",
    "historical_simulation",
    "filtered_historical_simulation",
    "gjr_garch",
    "seasonal_naive",
)
EVENT_MODELS = ("riskformer", "scorecard", "boosting")
CALENDARS = ("weekdays", "every_day", "us_federal", "nyse", "target")
SAMPLES = ("markets", "stocks", "credit", "m4_hourly", "exchange_rate", "loan_book", "mixture")


@dataclass
class DataConfig(Section):
    """Which table is read, and what its columns are called; names given here replace those of the YAML file."""

    where: ClassVar[str] = "data"

    sample: str | None = setting(
        "markets", "a sample instead of a table of your own; null with path=", choices=SAMPLES
    )
    path: str | None = path_text(
        None,
        "CSV or Parquet file, folder of Parquet files, or URL of a database",
        exists=True,
        deferred_by="schedule",
    )
    table: str | None = free_text(None, "table of the database")
    columns: str | None = path_text(
        None, "YAML file with the columns' roles", exists=True, deferred_by="schedule"
    )
    entity: str | None = free_text(None, "column of the client, asset or series")
    time: str | None = free_text(None, "column of the time")
    targets: str | None = free_text(None, "columns to forecast, comma-separated")
    event: str | None = free_text(None, "column of the event, 0 or 1")
    observed: str | None = free_text(None, "columns known up to the as-of date, comma-separated")
    known: str | None = free_text(None, "columns known in advance, comma-separated")
    statics: str | None = free_text(None, "categories of the entity, comma-separated")
    static_numbers: str | None = free_text(None, "numbers of the entity, comma-separated")
    group: str | None = free_text(
        None,
        "column of a word that related series share: riskformer forecasts them together, else each alone",
    )
    known_at: str | None = free_text(None, "column of the date at which a row became known")
    zone: str | None = free_text(None, "time zone into which times with an offset are converted")
    calendar: str | None = setting(
        None,
        "days that are steps of daily series, holidays to come included; null: the weekdays that a series has",
        choices=CALENDARS,
    )
    time_format: str | None = free_text(
        None,
        "how times are written where not ISO 8601: as for strptime, or unix, unix_ms for seconds since 1970",
    )
    outcome_after: int | None = setting(
        None,
        "for a table of one row for each entity, all of one time: months after it at which the event became known; "
        "null: taken from later rows of the entity",
        unit="months",
        low=1,
        high=600,
    )
    decimal: str | None = setting(
        None,
        "mark before fractions; null reads what can be one number only, and sets 1,234 aside",
        choices=("point", "comma"),
    )
    encoding: str | None = free_text(
        None, "encoding of a CSV file that is neither in UTF-8 nor in UTF-16, such as latin-1 or cp1252"
    )
    max_rejected: float = setting(
        0.05,
        "share of rows that may be set aside; with more nothing is done. Second copies of a row do not count",
        low=0,
        high=1,
    )
    bound: float = setting(1e15, "largest size of a plausible value; larger ones are set aside", above=0)
    max_age: str | None = free_text(
        None,
        "age of a series' newest value at the as-of time above which stage=score refuses it, such as '3 steps', "
        "'2 days' or '36 h'; off: any",
        null="5 of its own steps, or twice their second longest (weekends, holidays)",
        stages=("score",),
    )
    oldest: int | None = setting(
        None, "steps by which a series may end before the last one; null allows all", unit="steps", low=0
    )


@dataclass
class ModelConfig(Section):
    """Which model forecasts, how far, and how large it is."""

    where: ClassVar[str] = "model"

    name: str = setting(
        "champion",
        "which model; champion is the winner on development windows",
        choices=("champion", *dict.fromkeys((*TARGET_MODELS, *EVENT_MODELS))),
        stages=EVERY,
    )
    size: str = setting(
        EMBEDDED_SIZE, "size of riskformer", choices=("tiny", "50m", "300m", "1b", "10b"), stages=SIZED
    )
    context: int = setting(
        256, "steps of the past that a network sees", unit="steps", low=8, high=8192, stages=SIZED
    )
    horizon: int = setting(10, "steps ahead", unit="steps", low=1, high=1024, stages=EVERY)
    paths: int | None = setting(
        None,
        "futures of each series; null: in a backtest 1000, in a scoring as many as keep the standard error of "
        "simulation of the model's VaR below 2 %",
        unit="paths",
        low=100,
        high=100000,
        stages=("evaluate", "score", "backtest", "serve"),
    )
    device: str = setting(
        "auto", ABOUT_DEVICE, choices=DEVICES, stages=("evaluate", "score", "backtest", "serve")
    )


@dataclass
class ScoreConfig(Section):
    """How the scores of one date are made, and where they go."""

    where: ClassVar[str] = "score"

    sql: str | None = path_text(None, "URL of a database that gets the scores too")
    sql_table: str = free_text("risk_scores", "its table", only_with="score.sql")
    portfolios: str | None = path_text(
        None,
        "CSV of portfolios: portfolio,entity,weight",
        null="one, of equal weights",
        exists=True,
        deferred_by="schedule",
        stages=("score", "backtest"),
    )
    name: str | None = free_text(
        None,
        "name of the scoring in that table, where a re-run replaces the rows of its name, as-of time, model and "
        "target, and no others",
        null="one made of the output folder and the source of the data",
        only_with="score.sql",
    )
    champion: str | None = path_text(
        None,
        "folder that stage=evaluate wrote: its champion scores, if the weights hold it",
        null="that of the weights",
        exists=True,
        deferred_by="schedule",
    )
    alert_share: float = setting(
        0.1,
        "share of clients, riskiest first, that are marked for attention",
        low=0,
        high=1,
        stages=("score", "evaluate"),
    )
    var_limit: float | None = setting(
        None, "mark a series whose one-step 1 % VaR lies below minus this; null marks none", above=0
    )
    chunk: int = setting(2000, "series scored at once", unit="series", low=1)
    wait_h: float = setting(
        6.0,
        "time from when a scheduled scoring is due, in which it waits for input that is missing or too "
        "old; it occupies a slot of the worker meanwhile",
        unit="h",
        low=0,
        high=168,
        only_with="schedule",
    )
    catch_up: int = setting(
        5,
        "due times that are made up for after downtime, for schedule=",
        unit="times",
        low=0,
        high=1000,
        only_with="schedule",
    )


@dataclass
class BacktestConfig(Section):
    """How the walk through the past goes."""

    where: ClassVar[str] = "backtest"

    days: int = setting(500, "last dates that are forecast from what came before each", unit="steps", low=20)
    refit_every: int = setting(20, "steps between two fits of models that are fitted", unit="steps", low=1)
    models: list[str] = setting(
        ["riskformer", "gjr_garch", "filtered_historical_simulation", "historical_simulation"],
        "models side by side",
        stages=("backtest",),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.models:
            raise OPTIONS("backtest_models_empty", choices=", ".join(TARGET_MODELS))
        for name in self.models:
            if self.models.count(name) > 1:
                raise OPTIONS("backtest_models_twice", model=name)
            check_value("backtest.models", name, {"choices": TARGET_MODELS})


@dataclass
class PlanConfig(Section):
    """On how many machines a training is planned."""

    where: ClassVar[str] = "plan"

    ranks: int = setting(8, "GPUs", unit="ranks", low=1, high=65536)
    strategy: str = setting("fsdp", "how the model is spread", choices=("single", "ddp", "fsdp"))
    precision: str = setting("bf16", "arithmetic of the forward pass", choices=("fp32", "bf16"))
    optimizer: str = setting(
        "adamw",
        "adamw keeps fp32 weights and moments; adamw_bf16 all in bf16; in_backward: the same, gradients freed at once",
        choices=("adamw", "adamw_bf16", "adamw_bf16_in_backward"),
    )
    checkpointing: str = setting("full", "activations kept for the backward pass", choices=("none", "full"))
    batch_size: int = setting(8, "series a step on each rank", unit="series", low=1)
    memory_gib: float = setting(80.0, "memory of a GPU", unit="GiB", above=0)


@dataclass
class ServeConfig(ServingConfig):
    """How the service answers: the options of every service, and those of its model."""

    rows: int = setting(200_000, "most rows of a request's table (HTTP 413 beyond it)", unit="rows", low=1)
    cells: int = setting(
        5_000_000, "most cells of it, rows times the columns that are read", unit="cells", low=1
    )
    processes: int = setting(1, "processes of the model", unit="processes", low=1, high=64)
    waiting: int = setting(64, "queue capacity (HTTP 429 beyond it)", unit="requests", low=1, high=100_000)
    timeout: float = setting(60.0, "time for an answer (HTTP 504 beyond it)", unit="s", above=0, high=86_400)


@dataclass
class RiskConfig(Section):
    """The whole command line of triptych-risk."""

    stage: str = setting(MISSING, "what to do", choices=STAGES, stages=EVERY)
    seed: int = setting(
        0,
        "seed of everything random",
        low=0,
        high=2**32 - 1,
        stages=(*ON_TABLES, "serve"),
    )
    as_of: str | None = free_text(
        None,
        "date or time of which the future is unknown: 2018-12-31 is the end of that day in data.zone, "
        "2018-12-31T17:30 that minute",
        null="the last one of the data, refused where it lies far after all others",
        stages=WITH_WEIGHTS,
    )
    output: str | None = path_text(
        None,
        "folder for results; a second run writes the same bytes",
        needed_by=("score", "evaluate", "backtest", "export"),
        stages=("score", "evaluate", "backtest", "plan", "export"),
    )
    run_dir: str | None = path_text(
        None, "folder of this run's record; name an old one to resume it", stages=EVERY
    )
    host: str = host_option(["serve"])
    port: int = port_option(["serve"])
    weights: str | None = path_text(
        None,
        "folder of a trained model",
        null="the embedded one",
        exists=True,
        stages=(*WITH_WEIGHTS, "serve"),
    )
    formats: list[str] = formats_option(["torch_export"])
    artifacts: str | None = artifacts_option(["score", "serve"])
    runtime: str = runtime_option(["score", "serve"])
    schedule: str | None = free_text(
        None,
        "cron expression such as '0 6 * * 1-5': register the scoring for these times instead of doing it now",
        stages=("score",),
    )
    zone: str = free_text("UTC", "time zone of the schedule", stages=("score",), only_with="schedule")
    data: DataConfig = section(DataConfig, stages=WITH_WEIGHTS)
    model: ModelConfig = section(ModelConfig, stages=ON_TABLES)
    trainer: TrainerConfig = section(TrainerConfig, stages=("train",))
    score: ScoreConfig = section(ScoreConfig, stages=("score",))
    backtest: BacktestConfig = section(BacktestConfig, stages=("backtest", "evaluate"))
    plan: PlanConfig = section(PlanConfig, stages=("plan",))
    serve: ServeConfig = section(ServeConfig, stages=("serve",))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data.path is None and self.data.sample is None:
            raise OPTIONS("data_no_table")
        if self.data.path is not None and self.data.sample is not None:
            raise OPTIONS("data_two_tables")
        check_zone("data.zone", self.data.zone)
        check_zone("zone", self.zone)
        if self.score.champion is not None and self.model.name != "champion":
            raise OPTIONS("champion_and_model", model=self.model.name)
        if self.model.size != EMBEDDED_SIZE and self.stage not in (*SIZED, MISSING):
            raise OPTIONS("model_size", size=self.model.size, stage=self.stage)
        check_device(self.artifacts, self.model.device, "model.device")
        if self.stage == "export":
            chosen(self.formats)
        if self.data.sample == "mixture" and self.stage != "train":
            raise OPTIONS("mixture_not_scored")
