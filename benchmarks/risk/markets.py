"""VaR and ES of twenty US stocks and of the S&P 500, one day ahead, every model day by day in one run.

Nothing is chosen on the test: what is chosen, is chosen with part=development, the days before it, where no return of
the test is read. Legend: N assets, D days, L levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from apps.risk.data.asof import view
from apps.risk.data.contracts import check
from apps.risk.data.history import known_until, steps_known
from apps.risk.data.panel import Panel, build_panel
from apps.risk.data.samples import load_sample
from apps.risk.evaluation.judged import SIZE, Judged, daily_losses, judge, number, overall
from apps.risk.metrics.tail_figures import mean_losses
from apps.risk.models.candidates import candidates
from apps.risk.models.forecast import TAIL_LEVELS
from apps.risk.models.garch import LONGEST_FIT
from apps.risk.models.walking import Asked, outcomes, walk_days
from core.errors import InputError

BESIDE = "gjr_garch"  # the model that the others are compared with
MODELS = ("riskformer", BESIDE, "filtered_historical_simulation", "historical_simulation")
PARTS = ("test", "development")
TASKS = {"stocks": None, "sp500": "S&P 500"}  # which asset of the sample; None takes all
PROTOCOL = (
    "Daily log returns in percent; one day ahead, each day from the days before it alone. {part}: {days}. "
    "GJR-GARCH(1,1,1) with Hansen's skewed t (package arch) is fitted every {every} days to the last {longest} values, "
    "the others see each day's past anew and are not fitted. Losses: mean over assets of each day's loss, then over "
    "days; 95 % intervals by the stationary bootstrap over days, {samples} resamples in blocks of automatic length "
    "(Politis & White). passed: share of assets whose p-value lies above 5 %: share of exceedances (kupiec), "
    "independence, both (exact), dynamic quantile and Acerbi-Szekely's Z2 (simulated); _asymptotic by the limit law, "
    "as other programs print it. against: the loss less that of GJR-GARCH on the same days; below 0 the model is "
    "better. Networks were trained on real returns up to the date that the model card names."
)


def run(
    days: str = "2500",
    sp500_days: str = "2530",
    development_days: str = "1250",
    models: str = ",".join(MODELS),
    part: str = "test",
    tasks: str = ",".join(TASKS),
    weights: str = "",
    every: str = "20",
    seed: str = "0",
) -> dict[str, Any]:
    """Return the record: for each task every model's figures with intervals.

    part: test, the last `days` days (of the S&P 500 `sp500_days`), or development, as many as `development_days`
    before them. weights: folder of a trained model, the embedded one if empty. Raises InputError for a name that is
    not there.
    """
    for name, known, given in (("part", PARTS, [part]), ("task", tuple(TASKS), tasks.split(","))):
        wrong = next((word for word in given if word not in known), None)
        if wrong is not None:
            raise InputError("option", f"{wrong!r} is no {name}; there are {', '.join(known)}")
    measured = {}
    spans = []
    for task in tasks.split(","):
        panel = load_task(task)
        tested = int(sp500_days if task == "sp500" else days)
        walked = int(development_days) if part == "development" else tested
        if part == "development":
            panel = known_until(panel, steps_known(panel) - tested)
        measured[task] = measure(
            panel, walked, models.split(","), Path(weights) if weights else None, int(every), int(seed)
        )
        spans.append(f"{task} {walked} days, {measured[task]['first_day']} to {measured[task]['last_day']}")
    return {
        "part": part,
        "protocol": PROTOCOL.format(
            part=part, days="; ".join(spans), every=every, longest=LONGEST_FIT, samples=1000
        ),
        "tasks": measured,
        "headline": _headline(measured),
    }


def load_task(task: str) -> Panel:
    """Return the assets of a task on their own calendar."""
    sample = load_sample("markets" if task == "sp500" else "stocks")
    table, asset = sample.table, TASKS[task]
    if asset is not None:
        table = table[table["asset"] == asset].reset_index(drop=True)
    return build_panel(view(check(table, sample.columns).accepted, sample.columns), sample.columns)


def measure(
    panel: Panel, days: int, names: Sequence[str], weights: Path | None, every: int = 20, seed: int = 0
) -> dict[str, Any]:
    """Return the figures of all models over the last known days of a panel."""
    label = panel.columns.targets[0]
    walks = {
        name: walk_days(model, panel, label, days)
        for name, model in candidates(names, weights, every=every).items()
    }
    judged = judge(walks, outcomes(panel, label, days), panel.entities, Asked("entity", 1), seed)
    end = steps_known(panel)
    return {
        "assets": len(panel.entities),
        "first_day": str(panel.calendar_T[end - days].astype("datetime64[D]")),
        "last_day": str(panel.calendar_T[end - 1].astype("datetime64[D]")),
        "models": {name: figures(judged, name, seed) for name in walks},
    }


def figures(judged: Judged, name: str, seed: int) -> dict[str, Any]:
    """Return a model's figures by level, its losses less those of BESIDE among them where that was walked too."""
    by_level = overall(judged, name, seed)
    against = _against(judged, name, seed) if BESIDE in judged.losses and name != BESIDE else {}
    return {
        level: {
            "pinball": _interval(tail["pinball"]),
            "fz": _interval(tail["fz"]),
            "share_below": tail["share"],
            "passed": {**tail["passed"], **_asymptotic(judged, name, float(level))},
            **({"against": against[level]} if level in against else {}),
        }
        for level, tail in by_level.items()
    }


def _against(judged: Judged, name: str, seed: int) -> dict[str, dict[str, Any]]:
    both = []
    for loss in ("pinball", "fz"):
        mine, other = (
            np.stack([daily_losses(judged, model, loss, index) for index in range(len(TAIL_LEVELS))], axis=1)
            for model in (name, BESIDE)
        )
        both.append(mine - other)
    counts_T = ~np.isnan(both[0]).any(axis=1)
    pinball_L3, fz_L3 = mean_losses(both[0][counts_T], both[1][counts_T], 1, seed)
    return {
        f"{level:g}": {
            "pinball": _interval(pinball_L3[index].tolist()),
            "fz": _interval(fz_L3[index].tolist()),
        }
        for index, level in enumerate(TAIL_LEVELS.tolist())
    }


def _asymptotic(judged: Judged, name: str, level: float) -> dict[str, float | None]:
    tails = [row.figures for row in judged.rows if row.model == name and row.figures.level == level]
    tails = [one for one in tails if one.test_days]
    return {
        f"{test}_asymptotic": number(
            float(np.mean([getattr(one, f"{test}_p_asymptotic") > SIZE for one in tails]))
        )
        if tails
        else None
        for test in ("kupiec", "independence")
    }


def _interval(value_3: Sequence[float | None] | None) -> dict[str, float | None] | None:
    return None if value_3 is None else dict(zip(("value", "low", "high"), value_3, strict=True))


def _headline(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    headline = {}
    for task, content in measured.items():
        for name, by_level in content["models"].items():
            one = [by_level[level]["pinball"] for level in ("0.01", "0.025")]
            if None not in one:
                text = " / ".join(f"{pair['value']:.4f}" for pair in one)
                passed = by_level["0.01"]["passed"]["kupiec"]
                headline[f"{task}: {name}, pinball at 1 % / 2.5 %, POF passed at 1 %"] = (
                    f"{text}, {'too few' if passed is None else f'{passed:.0%}'}"
                )
    return headline
