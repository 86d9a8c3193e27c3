"""riskformer of one table: forecasts of its targets that take its observed and known columns and statics into account.

The rows of an entity (apps.risk.models.feed) see each other; entities do not, so that slices answer as the whole does.
What lies ahead is used in columns known in advance alone, as far as they are known.
Legend: N entities, D dates, B windows, C steps that the network sees, H steps ahead, Q quantile levels, V rows of a
window, K steps ahead that residuals were taken of.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from apps.risk.data.columns import Columns
from apps.risk.data.history import history_NT, steps_known
from apps.risk.data.panel import UNSEEN, Categories, Panel, by_calendar, fill_gaps
from apps.risk.data.windows import Windows
from apps.risk.models.description import columns_of
from apps.risk.models.exported import Networks, quantiles_of
from apps.risk.models.feed import Levels, counts_of, rows_of
from apps.risk.models.forecast import TAIL_LEVELS, PathForecast
from apps.risk.models.garch import REFIT, Walk
from apps.risk.models.network_file import load_weights, read_network, unreadable, write_network
from apps.risk.models.paths import BLOCKS, PATHS
from apps.risk.models.residual_tails import (
    RECENT,
    Tails,
    by_step,
    fit_tails,
    own_tails,
    residuals_of,
    with_tails,
)
from apps.risk.models.riskformer import MOST_FITTED, MULTIPLE, ROWS, SHORTEST, joint, walk_of
from apps.risk.models.sizes import Size
from apps.risk.models.soundness import require_sound
from apps.risk.models.transformer import RiskFormer, Rows
from apps.risk.reasons import INPUTS
from core.compute.threads import spread

ROLES = ("event", "observed", "known", "statics", "static_numbers", "targets")


class Answers(NamedTuple):
    """What the network says of windows: quantile_BHQ; came_BH, NaN where not known; known_B, values it has seen."""

    quantile_BHQ: np.ndarray
    came_BH: np.ndarray
    known_B: np.ndarray


@dataclass(frozen=True, eq=False)
class RiskformerCovariates:
    """The network with what it was trained on: a table of the same columns is what it forecasts.

    horizon: steps ahead of the training; fewer are the first of as many, more go on as the network sees fit.
    categories: a word that is none of them counts as unseen. tails: of each target, the network's own where none.
    networks: exported ones that run in PyTorch's place.
    """

    net: RiskFormer
    context: int
    horizon: int
    columns: Columns
    categories: Categories
    levels: Levels
    tails: Mapping[str, Tails] = field(default_factory=dict)
    name: str = "riskformer"
    networks: Networks = field(default_factory=dict)
    usual_paths: ClassVar[int] = PATHS
    drawn: ClassVar[bool] = False

    def with_networks(self, networks: Networks) -> RiskformerCovariates:
        """Return the model with an exported network ("forecast") in place of PyTorch's."""
        return replace(self, networks=networks)

    def require(self, columns: Columns) -> None:
        """Raise InputError, schema_differs, where a table has other columns than that of the training."""
        require_same(self.columns, columns)

    def knows(self, panel: Panel) -> bool:
        """Return whether a panel has the columns and categories of the training, so that it may go on with it."""
        same = all(getattr(self.columns, role) == getattr(panel.columns, role) for role in ROLES)
        return same and dict(self.categories) == dict(panel.categories)

    @property
    def looks_back(self) -> int:
        """What the network sees."""
        return self.context

    def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:  # noqa: ARG002
        """Return joint futures; nothing in them is drawn, so the seed changes nothing.

        Reasons of a refusal: all_missing, too_short, implausible. A series that never varied is forecast all the
        same: constant.
        Raises InputError, schema_differs.
        """
        past_NT = history_NT(panel, label, max(self.context, BLOCKS + horizon))
        everyone_N = np.arange(len(panel.entities))
        network_NHQ = self.answers(panel, label, everyone_N, [steps_known(panel)], horizon).quantile_BHQ
        tails = self._tails(label)
        if tails.residual_KQ is not None:
            network_NHQ = with_tails(network_NHQ, own_tails(past_NT, tails.residual_KQ))
        return joint(network_NHQ, past_NT, self.context, paths, tails.shapes)

    def with_fitted_tails(self, panel: Panel, steps: int, ahead: int, least: int) -> RiskformerCovariates:
        """Return the model with tails of each target of which `steps` last steps leave `least` residuals or more.

        About twice as many are computed.
        """
        tails = {}
        for label in self.columns.targets:
            parts = [self.residuals(part, label, steps, ahead, 2 * least) for part in by_calendar(panel)]
            residual_HR = [np.concatenate(residual_P) for residual_P in zip(*parts, strict=True)]
            if min(len(residual_R) for residual_R in residual_HR) >= least:
                tails[label] = fit_tails(residual_HR)
        return replace(self, tails=tails)

    def residuals(self, panel: Panel, label: str, steps: int, ahead: int, most: int) -> list[np.ndarray]:
        """Return what is left over of forecasts from the last `steps` dates whose next `ahead` steps are past.

        most: forecasts that are made; then of many entities some and of many dates some, that lie evenly.
        """
        last = steps_known(panel) - ahead
        some_N, every = _looked_at(len(panel.entities), min(steps, max(last, 1)), most)
        date_D = np.arange(last, max(last - steps, 0), -every)[::-1]
        if not len(date_D):
            return [np.zeros(0)] * ahead
        answers = self.answers(panel, label, some_N, date_D, ahead)
        network_BHQ = np.where((answers.known_B < SHORTEST)[:, None, None], np.nan, answers.quantile_BHQ)
        return by_step(residuals_of(network_BHQ, answers.came_BH))

    def walk_panel(
        self, panel: Panel, label: str, days: int, level_L: np.ndarray = TAIL_LEVELS, every: int = REFIT
    ) -> Walk:
        """Forecast the last `days` known steps one step ahead, each from what came before it; D = days.

        every: steps for which a series' tails are kept, those of the RECENT steps before.
        """
        end, N = steps_known(panel), len(panel.entities)
        first = max(end - days - RECENT - 1, 0)
        answers = self.answers(panel, label, np.arange(N), np.arange(first, end), 1)
        return walk_of(
            answers.quantile_BHQ[:, 0].reshape(N, end - first, -1),
            answers.came_BH.reshape(N, -1),
            answers.known_B.reshape(N, -1),
            end - days - first,
            level_L,
            every,
            self._tails(label),
        )

    @property
    def variables(self) -> int:
        """Rows of a window, which see each other."""
        return len(self.columns.features) + len(self.columns.static_numbers)

    def _tails(self, label: str) -> Tails:
        return self.tails.get(label, Tails())

    def answers(
        self, panel: Panel, label: str, entity_N: np.ndarray, step_D: Sequence[int] | np.ndarray, horizon: int
    ) -> Answers:
        """Ask the network about some entities from some steps of the calendar on; B = N D, entity by entity."""
        self.require(panel.columns)
        seen = fill_gaps(recoded(panel, self.categories))
        windows = Windows(seen, self.context, max(horizon, self.horizon))
        end_N = origins_at(seen, np.array([steps_known(seen)]))[entity_N, 0]
        origin_ND = origins_at(seen, np.asarray(step_D))[entity_N]
        origin_B, end_B = origin_ND.ravel(), np.repeat(end_N, origin_ND.shape[1])
        entity_B = np.repeat(entity_N, origin_ND.shape[1])
        index, device = self.columns.targets.index(label), next(self.net.parameters()).device
        step = math.lcm(self.variables, MULTIPLE) // self.variables  # entities
        count = max(ROWS // self.variables // step, 1) * step
        out = Answers(
            np.empty((len(origin_B), horizon, len(self.net.levels))),
            np.empty((len(origin_B), horizon)),
            np.empty(len(origin_B), dtype=np.int64),
        )

        def ask(first: int) -> None:
            some = slice(first, first + count)
            asked = len(origin_B[some])
            pad = (0, -asked % step)
            batch = windows.gather(
                torch.from_numpy(np.pad(origin_B[some], pad, mode="edge")),
                torch.from_numpy(np.pad(entity_B[some], pad, mode="edge")),
            )
            rows, position_BT = rows_of(batch, self.columns, levels=self.levels)
            with torch.inference_mode():
                quantile_RHQ = quantiles_of(
                    self.net, self.networks, to(rows, device), self.variables, self.context
                )
                out.quantile_BHQ[some] = quantile_RHQ[position_BT[:asked, index], :horizon].cpu().numpy()
            out.known_B[some] = batch.past_known_BCF[:asked, :, index].sum(dim=1).numpy()
            past_BH = origin_B[some, None] + np.arange(horizon) < end_B[some, None]
            known_BH = batch.label_known_BHT[:asked, :horizon, index].numpy() & past_BH
            out.came_BH[some] = np.where(known_BH, batch.label_BHT[:asked, :horizon, index].numpy(), np.nan)

        spread(ask, range(0, len(origin_B), count))
        return out

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the network into a folder and return what model.json is to say of it."""
        levels = {"levels.knot": self.levels.knot_2VK, "levels.score": self.levels.score_2VK}
        network = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        write_network(folder, {**network, **levels})
        return {
            "size": dataclasses.asdict(self.net.size),
            "context": self.context,
            "tails": {label: _described(tails) for label, tails in self.tails.items()},
            "covariates": {
                "columns": dataclasses.asdict(self.columns),
                "categories": {name: list(words) for name, words in self.categories.items()},
                "horizon": self.horizon,
            },
        }

    @classmethod
    def load(cls, folder: Path, metadata: Mapping[str, Any]) -> RiskformerCovariates:
        """Read what `save` wrote. Raises InputError, weights_unreadable."""
        tensors, trained = read_network(folder), metadata["covariates"]
        columns = columns_of(trained["columns"])
        categories = {name: tuple(words) for name, words in trained["categories"].items()}
        net = RiskFormer(Size(**metadata["size"]), counts_of(columns, categories))
        try:
            levels = Levels(tensors.pop("levels.knot"), tensors.pop("levels.score"))
        except KeyError as error:
            raise unreadable(folder) from error
        state = {name.removeprefix("net."): value for name, value in tensors.items()}
        load_weights(net, state, folder)
        require_sound(net, str(folder))
        return cls(
            net=net.eval(),
            context=int(metadata["context"]),
            horizon=int(trained["horizon"]),
            columns=columns,
            categories=categories,
            levels=levels,
            tails={label: _tails_of(tails) for label, tails in metadata["tails"].items()},
        )


def covered(columns: Columns) -> bool:
    """Return whether a table has more to learn from than one target's own past."""
    more = (columns.observed, columns.known, columns.statics, columns.static_numbers)
    return len(columns.targets) > 1 or any(more)


def require_same(trained: Columns, given: Columns) -> None:
    """Raise InputError, schema_differs, where columns of a role are not those of the training."""
    for role in ROLES:
        wanted, there = getattr(trained, role), getattr(given, role)
        if wanted != there:
            raise INPUTS("schema_differs", role=role, trained=_shown(wanted), given=_shown(there))


def recoded(panel: Panel, categories: Categories) -> Panel:
    """Return the panel with the codes of these categories; a word that is none of them is unseen."""
    if dict(panel.categories) == dict(categories):
        return panel
    code_NS = panel.code_NS.copy()
    for index, name in enumerate(panel.columns.statics):
        number = {word: code for code, word in enumerate(categories[name], start=UNSEEN + 1)}
        renamed = [UNSEEN, *(number.get(word, UNSEEN) for word in panel.categories[name])]
        code_NS[:, index] = np.array(renamed)[panel.code_NS[:, index]]
    return replace(panel, categories=categories, code_NS=code_NS)


def origins_at(panel: Panel, step_D: np.ndarray) -> np.ndarray:
    """Return of each entity the row that would be the one of a step of the calendar, (N, D) int64.

    panel: of one calendar, of `fill_gaps`. The row may lie behind the last one of a series that ended before; before a
    series' first row it is that one. Of a series with times of its own it is the first row from the step on.
    """
    wide = len(panel.axis.slot_T) + 1
    first_N, last_N = panel.step_R[panel.offset_N1[:-1]], panel.step_R[panel.offset_N1[1:] - 1]
    key_R = panel.entity_R * wide + panel.step_R
    origin_ND = np.searchsorted(key_R, np.arange(len(first_N))[:, None] * wide + step_D)
    filled_N1 = (last_N.astype(np.int64) - first_N + 1 == panel.length_N)[:, None]
    behind_ND = np.maximum(step_D - last_N[:, None] - 1, 0)
    return np.asarray(origin_ND + np.where(filled_N1, behind_ND, 0))


def to(rows: Rows, device: torch.device) -> Rows:
    """Return the rows on a device."""
    return Rows(*(None if part is None else part.to(device) for part in rows))  # type: ignore[arg-type]


def _looked_at(entities: int, dates: int, most: int) -> tuple[np.ndarray, int]:
    """Return the numbers of the entities that tails are fitted on, evenly spread, and each how-manieth date."""
    some_N = np.unique(np.linspace(0, entities - 1, min(entities, MOST_FITTED)).round().astype(np.int64))
    return some_N, max(-(-len(some_N) * dates // most), 1)


def _described(tails: Tails) -> dict[str, Any]:
    residuals = None if tails.residual_KQ is None else np.round(tails.residual_KQ, 6).tolist()
    return {"residuals": residuals, "shapes": list(tails.shapes)}


def _tails_of(metadata: Mapping[str, Any]) -> Tails:
    lower, upper = metadata["shapes"]
    residual_KQ = None if metadata["residuals"] is None else np.array(metadata["residuals"])
    return Tails(residual_KQ, (float(lower), float(upper)))


def _shown(names: Any) -> str:
    return (", ".join(names) if isinstance(names, tuple) else names) or "none"
