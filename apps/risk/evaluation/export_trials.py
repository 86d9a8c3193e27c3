"""What an export of riskformers is judged on: a table's last dates, by pinball loss, log loss and AUROC.

Earlier dates, on which no format is judged, calibrate 8-bit integers.
Legend: N series, T steps, D dates, C steps that the network sees, H steps ahead, Q quantile levels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import log_loss

from apps.risk.data.history import histories_NT, steps_known
from apps.risk.data.load import Loaded
from apps.risk.data.outcomes import event_origins, outcomes_missing
from apps.risk.data.panel import Panel, by_calendar, on_table_times
from apps.risk.evaluation.event_evaluation import event_parts, pds_of, seen_at
from apps.risk.metrics.credit import credit_figures
from apps.risk.metrics.forecast import weighted_quantile_loss
from apps.risk.models.exported import Networks
from apps.risk.models.riskformer import RiskformerTargets
from apps.risk.models.riskformer_covariates import RiskformerCovariates
from apps.risk.models.riskformer_event import RiskformerEvent
from apps.risk.models.sizes import QUANTILE_LEVELS
from apps.risk.reasons import INPUTS
from core.export.task import Metric

HORIZON = 10  # steps ahead that are judged
DATES = 48  # that are judged, and as many before them that calibrate
SERIES = 32  # at most, evenly spread over those of the table
SHARE = 0.01  # of a loss that may be lost
AUROC = 0.001  # that may be lost

_PINBALL = Metric(
    "pinball",
    f"pinball loss over the quantiles, {HORIZON} steps, by the size of what came",
    "lower",
    SHARE,
    relative=True,
)
_TOGETHER = Metric("pinball of a group", "the same, all series as one group", "lower", SHARE, relative=True)
_LOG_LOSS = Metric("log loss", "of the event's probabilities", "lower", SHARE, relative=True)
_AUROC = Metric("AUROC", "of the event's probabilities, 0 to 1", "higher", AUROC)


@dataclass(frozen=True, eq=False)
class Trial:
    """Questions to a model on dates of a table. All take networks that stand in for PyTorch's, by name.

    judge: networks → metrics on the last dates. earlier: asks all networks on dates before those.
    """

    about: str
    metrics: tuple[Metric, ...]
    judge: Callable[[Networks], Mapping[str, float]]
    earlier: Callable[[Networks], object]


def series_trial(model: RiskformerTargets, panel: Panel, label: str) -> Trial:
    """Return the trial of a riskformer of series: alone, and all as one group where there are several."""
    value_NT = _some(histories_NT(panel, label))
    N = len(value_NT)
    value_NT = np.pad(value_NT, ((0, 0), (model.context + 2 * DATES + HORIZON, 0)), constant_values=np.nan)
    last = value_NT.shape[1] - HORIZON  # the step at which the last horizon begins
    together_N = np.zeros(N, dtype=np.int64) if N > 1 else None

    def ask(networks: Networks, end: int, group_N: np.ndarray | None) -> float:
        step_D = np.arange(end - DATES + 1, end + 1)
        past_NDC = value_NT[:, step_D[:, None] + np.arange(-model.context, 0)]
        came_NDH = value_NT[:, step_D[:, None] + np.arange(HORIZON)]
        quantile_NDHQ = model.with_networks(networks).quantiles(past_NDC, HORIZON, group_N)
        return _pinball(came_NDH, quantile_NDHQ)

    def at(networks: Networks, end: int) -> dict[str, float]:
        metrics = {_PINBALL.name: ask(networks, end, None)}
        return metrics if together_N is None else metrics | {_TOGETHER.name: ask(networks, end, together_N)}

    return Trial(
        about=f"{N} series of {label} on {DATES} dates",
        metrics=(_PINBALL,) if together_N is None else (_PINBALL, _TOGETHER),
        judge=lambda networks: at(networks, last),
        earlier=lambda networks: at(networks, last - HORIZON - DATES),
    )


def covariates_trial(model: RiskformerCovariates, panel: Panel, label: str) -> Trial:
    """Return the trial of a riskformer of one table, on the entities of the calendar that has most."""
    panel = max(by_calendar(panel), key=lambda part: len(part.entities))
    entity_N = _spread_over(len(panel.entities))
    last = steps_known(panel) - HORIZON

    def ask(networks: Networks, end: int) -> dict[str, float]:
        step_D = np.arange(max(end - DATES + 1, 1), max(end, 1) + 1)
        answers = model.with_networks(networks).answers(panel, label, entity_N, step_D, HORIZON)
        return {_PINBALL.name: _pinball(answers.came_BH, answers.quantile_BHQ)}

    return Trial(
        about=f"{len(entity_N)} entities, {label} on {DATES} dates",
        metrics=(_PINBALL,),
        judge=lambda networks: ask(networks, last),
        earlier=lambda networks: ask(networks, last - HORIZON - DATES),
    )


def event_trial(model: RiskformerEvent, loaded: Loaded, horizon: int) -> Trial:
    """Return the trial of a riskformer of an event: judged on the test of stage=evaluate, calibrated on development.

    Raises InputError where no outcome is known, or all clients have the same.
    """
    panel = on_table_times(loaded.everyone)
    origins = event_origins(panel, horizon)
    missing = outcomes_missing(panel)
    if missing or not len(origins):
        raise missing or INPUTS("outcome_unknown", horizon=horizon, as_of=loaded.as_of.text)
    before, test = event_parts(panel, origins, horizon)
    seen_before, seen = seen_at(panel, before), seen_at(panel, test)

    def judge(networks: Networks) -> dict[str, float]:
        pds, event_B = pds_of(seen, test, {"riskformer": model.with_networks(networks)})
        pd_B = pds["riskformer"]
        return {
            _LOG_LOSS.name: float(log_loss(event_B, pd_B)),
            _AUROC.name: float(credit_figures(pd_B, event_B)[0]),
        }

    def earlier(networks: Networks) -> object:
        return model.with_networks(networks).forecast_event(seen_before)

    return Trial(f"{len(test)} clients of one date", (_LOG_LOSS, _AUROC), judge, earlier)


def _pinball(came: np.ndarray, quantile: np.ndarray) -> float:
    """Return the weighted quantile loss of (…, H) outcomes, NaN where not known, and (…, H, Q) quantiles."""
    H, Q = came.shape[-1], quantile.shape[-1]
    return weighted_quantile_loss(came.reshape(-1, H), quantile.reshape(-1, H, Q), np.array(QUANTILE_LEVELS))


def _some(value_NT: np.ndarray) -> np.ndarray:
    return value_NT[_spread_over(len(value_NT))]


def _spread_over(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, SERIES)).round().astype(np.int64))
