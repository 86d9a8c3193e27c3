"""tft and deepar of pytorch-forecasting as models of this app: saved, asked and explained as all others.

A saved model is a folder of two files, weights.safetensors and description.json; nothing in it is executed.
Joint paths: what series did together on past days orders the paths of each (apps.risk.models.paths), as tft forecasts
quantiles of one step of one series and deepar draws each series by itself.
Legend: N entities, C steps of the past, H steps ahead, F features, S paths, Q levels, W blocks, B windows.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from scipy.special import ndtri
from torch import Tensor

from apps.risk.data.history import history_NT
from apps.risk.data.panel import Panel, part
from apps.risk.data.select import select
from apps.risk.data.windows import Batch, Windows, draw
from apps.risk.models.forecast import PathForecast
from apps.risk.models.forecasting_networks import (
    Description,
    ForecastingNet,
    network_batch,
    variable_names,
    variable_shares,
)
from apps.risk.models.importance import permutation_importance
from apps.risk.models.paths import BLOCKS, PATHS, block_ranks, paths_from_quantiles
from apps.risk.models.sizes import QUANTILE_LEVELS
from apps.risk.models.soundness import implausible, require_sound
from apps.risk.reasons import INPUTS
from core.compute.threads import spread
from core.runs.files import write_bytes, write_json
from core.training.checkpoint import plain_tensors

WEIGHTS, DESCRIPTION = "weights.safetensors", "description.json"
SHORTEST = 20  # known values of the label in a window's past
_CHUNK = {"tft": 256, "deepar": 32}  # entities at once
_EXPLAINED = 512  # windows that tft's weights are averaged over


@dataclass(frozen=True, eq=False)
class ForecastingModel:
    """A trained network; a TargetModel of the one label it was trained for."""

    net: ForecastingNet
    usual_paths: ClassVar[int] = PATHS
    drawn: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """As model.name= takes it: tft or deepar."""
        return self.net.description.name

    @property
    def looks_back(self) -> int:
        """What the network sees."""
        return self.net.description.context

    def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:  # noqa: ARG002
        """Return joint paths, their number rounded up to a multiple of the past's blocks; nothing is drawn by the seed.

        Refused: all_missing, implausible (apps.risk.models.soundness), or too_short where fewer than SHORTEST values
        (all of a shorter context) are known. A constant past is its own forecast, for the reason `constant`.
        Raises InputError: schema_differs, label_differs, horizon_too_long.
        """
        seen = self._seen(panel, label, horizon)
        past_NT = history_NT(panel, label, BLOCKS + horizon)
        self.net.eval()
        parts = spread(
            lambda first: self._part(seen, first, horizon, past_NT, paths),
            range(0, len(seen.entities), _CHUNK[self.name]),
        )
        value = np.concatenate([some for some, _ in parts])
        reason_N = tuple(reason for _, reasons in parts for reason in reasons)
        if self.name == "tft":
            return paths_from_quantiles(value, np.array(QUANTILE_LEVELS), past_NT, paths, reason_N)
        return PathForecast(value.transpose(1, 0, 2), reason_N)

    def importance(self, panel: Panel, seed: int = 0) -> dict[str, dict[str, float]]:
        """Return what each variable counts for.

        tft: shares of its own variable selection in the encoder, the decoder and among the statics, each summing to
        1, averaged over windows of the panel's past drawn by the seed. deepar, which has no such weights: growth of
        the loss when a column is shuffled (apps.risk.models.importance), as `permutation`.
        """
        description = self.net.description
        if self.name == "deepar":
            return {
                "permutation": permutation_importance(
                    self, panel, description.label, description.horizon, seed=seed
                )
            }
        seen = self._seen(panel, description.label, description.horizon)
        windows = learning_windows(seen, description)
        origin_B = windows.origins(draw(seed, 0, _EXPLAINED, len(windows)))
        x, _ = network_batch(windows.gather(origin_B), self.net.layout(seen), description)
        sums = variable_shares(self.net.eval(), self._moved(x))
        names = variable_names(description)
        return {
            group: dict(zip(names[group], (sum_V / sum_V.sum()).round(6).tolist(), strict=True))
            for group, sum_V in sums.items()
        }

    def save(self, folder: Path) -> None:
        """Write the two files; raises InputError where the folder cannot be written."""
        write_bytes(folder / WEIGHTS, save(plain_tensors(self.net)))
        write_json(folder / DESCRIPTION, asdict(self.net.description))

    def _part(
        self, panel: Panel, first: int, horizon: int, past_NT: np.ndarray, paths: int
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """Return quantiles (N, H, Q) or paths (N, S, H) of some entities, and their reasons."""
        description = self.net.description
        some = slice(first, min(first + _CHUNK[self.name], len(panel.entities)))
        chunk = part(panel, some.start, some.stop)
        batch = Windows(chunk, description.context, description.horizon).latest()
        center_N, scale_N, reason_N = _past(batch, description)
        x, _ = network_batch(batch, self.net.layout(chunk), description)
        with torch.inference_mode():
            if self.name == "tft":
                z = self.net(self._moved(x)).double().cpu().numpy()[:, :horizon]
                z = np.sort(z, axis=2)
            else:
                x["decoder_cont"] = x["decoder_cont"][:, :horizon]
                x["decoder_cat"] = x["decoder_cat"][:, :horizon]
                score_NSH = _scores(past_NT[some], horizon, paths)
                z = self.net.sample(self._moved(x), score_NSH).double().cpu().numpy()
        out = center_N[:, None, None] + scale_N[:, None, None] * z
        absurd_N = implausible(out, past_NT[some])
        reason_N = tuple(
            "implausible" if absurd and reason in ("", "constant") else reason
            for absurd, reason in zip(absurd_N, reason_N, strict=True)
        )
        out[[reason not in ("", "constant") for reason in reason_N]] = np.nan
        return out, reason_N

    def _moved(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        device = self.net.get_buffer("center_F").device
        return {name: value.to(device) for name, value in x.items()}

    def _seen(self, panel: Panel, label: str, horizon: int) -> Panel:
        """Return the panel with the model's columns and codes alone."""
        description = self.net.description
        if label != description.label:
            raise INPUTS("label_differs", model=self.name, trained=description.label, label=label)
        if horizon > description.horizon:
            raise INPUTS("horizon_too_long", model=self.name, trained=description.horizon, horizon=horizon)
        return select(panel, description.columns, description.categories)


def load_forecasting(folder: Path) -> ForecastingModel:
    """Load what `save` wrote. Raises InputError, weights_missing or weights_unreadable."""
    for path in (folder / DESCRIPTION, folder / WEIGHTS):
        if not path.is_file():
            raise INPUTS("weights_missing", folder=folder, file=path.name)
    try:
        net = ForecastingNet(Description.read(json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))))
        net.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise INPUTS("weights_unreadable", folder=folder) from error
    require_sound(net, str(folder))
    return ForecastingModel(net)


def learning_windows(panel: Panel, description: Description) -> Windows:
    """Return the windows of a panel's past. Raises InputError, too_short, where there is none."""
    shortest = min(SHORTEST, description.context)
    windows = Windows(panel, description.context, description.horizon, shortest=shortest)
    if not len(windows):
        raise INPUTS("training_too_short", shortest=shortest, horizon=description.horizon)
    return windows


def _past(batch: Batch, description: Description) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return mean and standard deviation of what is known of each past, (N,) each, and reasons."""
    index, enough = description.columns.labels.index(description.label), min(SHORTEST, description.context)
    value_NC = batch.past_BCF[..., index].double().numpy()
    known_NC = batch.past_known_BCF[..., index].numpy()
    count_N = known_NC.sum(axis=1)
    center_N = value_NC.sum(axis=1) / np.maximum(count_N, 1)  # what is not known is 0
    square_NC = np.where(known_NC, value_NC - center_N[:, None], 0.0) ** 2
    scale_N = np.sqrt(square_NC.sum(axis=1) / np.maximum(count_N - 1, 1))
    scale_N[scale_N <= np.finfo(np.float64).eps * np.abs(center_N)] = 0.0
    reason_N = tuple(
        "all_missing" if count == 0 else "too_short" if count < enough else "" if scale > 0.0 else "constant"
        for count, scale in zip(count_N, scale_N, strict=True)
    )
    return center_N, scale_N, reason_N


def _scores(past_NT: np.ndarray, horizon: int, paths: int) -> Tensor:
    """Return the normal score that each path has of each series and step, (N, S, H) float32: ranks of past blocks.

    Each series and step sees all S levels (s + 1/2) / S once, in the order of the past.
    """
    rank_NHW = block_ranks(past_NT, horizon)
    copies = -(-paths // rank_NHW.shape[2])
    index_NHS = rank_NHW[..., None] * copies + np.arange(copies)
    index_NSH = index_NHS.reshape(*rank_NHW.shape[:2], -1).transpose(0, 2, 1)
    return torch.from_numpy(ndtri((index_NSH + 0.5) / index_NSH.shape[1]).astype(np.float32))
