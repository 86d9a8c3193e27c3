"""Networks of pytorch-forecasting, built from a description instead of one of its data sets.

tft: Temporal Fusion Transformer (Lim et al. 2021, doi:10.1016/j.ijforecast.2021.03.012). deepar: DeepAR with a normal
law (Salinas et al. 2020, doi:10.1016/j.ijforecast.2019.07.001).
Both see the window in units of its own past and answer in them; what that unit is stays outside the network.
Legend: B windows, C steps of the past, H steps ahead, V variables, F features, M static numbers, Q levels, S paths.
"""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from apps.risk.data.columns import Columns
from apps.risk.data.forecasting_batches import ForecastingBatch, Layout, float64_batch, layout_of, single
from apps.risk.data.panel import Panel
from apps.risk.data.windows import Batch
from apps.risk.models.sizes import QUANTILE_LEVELS
from apps.risk.reasons import INPUTS

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports
        library: Any = importlib.import_module("pytorch_forecasting")
        encoders: Any = importlib.import_module("pytorch_forecasting.data")
        metrics: Any = importlib.import_module("pytorch_forecasting.metrics")
except ImportError as error:
    raise INPUTS("package_missing") from error

NAMES = ("tft", "deepar")
FARTHEST = 50.0  # standard deviations: an answer farther away counts as this far
_NARROWEST = 1e-3  # standard deviations: least width of DeepAR's normal law
_READ = (
    *("encoder_cat", "encoder_cont", "encoder_lengths"),
    *("decoder_cat", "decoder_cont", "decoder_lengths", "target_scale"),
)


@dataclass(frozen=True)
class Description:
    """All that rebuilds a network and its input but numbers.

    name: tft or deepar. label: what is forecast. columns: of the panel it was trained on. categories: of each static,
    its words. context, horizon: C and H. hidden: width.
    """

    name: str
    label: str
    columns: Columns
    categories: dict[str, tuple[str, ...]]
    context: int
    horizon: int
    hidden: int = 32

    @classmethod
    def read(cls, content: dict[str, Any]) -> Description:
        """Return what dataclasses.asdict and JSON made of one; raises TypeError or KeyError for anything else."""
        columns: dict[str, Any] = {
            role: tuple(names) if isinstance(names, list) else names
            for role, names in content["columns"].items()
        }
        categories = {name: tuple(words) for name, words in content["categories"].items()}
        return cls(**{**content, "columns": Columns(**columns), "categories": categories})

    @property
    def static_names(self) -> list[str]:
        """Names of static real variables, in the order of a batch."""
        return [*self.columns.static_numbers, "encoder_length"]

    @property
    def known_names(self) -> list[str]:
        """Names of real variables known in advance, in the order of a batch."""
        return [*self.columns.known, "relative_time_idx"]

    @property
    def seen_names(self) -> list[str]:
        """Names of real variables known up to now, the label first; DeepAR, by its design, takes the label alone."""
        if self.name == "deepar":
            return [self.label]
        return [self.label, *self.others]

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the other labels and the observed columns, in the order of a batch."""
        labels = (name for name in self.columns.labels if name != self.label)
        return (*labels, *self.columns.observed)

    @property
    def reals(self) -> list[str]:
        """Names of all real variables, in the order of a batch."""
        return [*self.static_names, *self.known_names, *self.seen_names]


class ForecastingNet(nn.Module):
    """One network and how its covariates are scaled: the state that is saved."""

    def __init__(self, description: Description) -> None:
        super().__init__()
        columns = description.columns
        for suffix, size in (("F", len(columns.features)), ("M", len(columns.static_numbers))):
            self.register_buffer(f"center_{suffix}", torch.zeros(size, dtype=torch.float64))
            self.register_buffer(f"scale_{suffix}", torch.ones(size, dtype=torch.float64))
        self.description = description
        self.network: Any = _build(description)

    def learn_scales(self, panel: Panel) -> None:
        """Learn how covariates are scaled, from a panel's past."""
        layout = layout_of(panel, self.description.context, self.description.label)
        state = {name: getattr(layout, name) for name in ("center_F", "scale_F", "center_M", "scale_M")}
        self.load_state_dict(state, strict=False)

    def layout(self, panel: Panel) -> Layout:
        """Return where each variable stands in a panel of the description's columns."""
        description = self.description
        scales: dict[str, Any] = {name: buffer.cpu() for name, buffer in self.named_buffers(recurse=False)}
        return Layout(
            target=description.columns.labels.index(description.label),
            static_numbers=description.columns.static_numbers,
            known=description.columns.known,
            observed=description.others,
            **scales,
            step_R=torch.from_numpy(panel.step_R),
            end_N=torch.from_numpy(panel.offset_N1[1:]),
            context=description.context,
        )

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        """Return tft's quantiles, (B, H, Q), or deepar's law with the answers before each step at hand, (B, H, 4)."""
        return self.network(x)["prediction"]

    def loss(self, prediction: Tensor, y: tuple[Tensor, Tensor | None]) -> Tensor:
        """Return the library's own loss, a scalar. y: answers in units of the window's past, and their weights."""
        return self.network.loss(prediction, y)

    def sample(self, x: dict[str, Tensor], score_BSH: Tensor) -> Tensor:
        """Return deepar's paths, (B, S, H): at each step the law's quantile at the normal score that is given."""
        net, (B, S, H) = self.network, score_BSH.shape
        position = net.target_positions[0]
        last_B1 = x["encoder_cont"][torch.arange(B), x["encoder_lengths"] - 1, position][:, None]
        input_BHV = net.construct_input_vector(x["decoder_cat"], x["decoder_cont"], one_off_target=last_B1)
        hidden = net.rnn.repeat_interleave(net.encode(x), S)
        scale_X2 = x["target_scale"].repeat_interleave(S, 0)
        value_X, out = last_B1.repeat_interleave(S, 0)[:, 0], []
        for h in range(H):
            step_XV = input_BHV[:, h].repeat_interleave(S, 0)
            step_XV[:, position] = value_X
            law_X1L, hidden = net.decode_all(step_XV[:, None], hidden)
            law_X4 = net.loss.rescale_parameters(law_X1L, scale_X2, net.output_transformer)[:, 0]
            value_X = law_X4[:, 2] + law_X4[:, 3] * score_BSH[:, :, h].reshape(-1)
            out.append(value_X.view(B, S))
        return torch.stack(out, dim=2)


def description_of(name: str, panel: Panel, label: str, context: int, horizon: int) -> Description:
    """Describe a network for a panel's columns."""
    categories = {static: tuple(panel.categories[static]) for static in panel.columns.statics}
    return Description(name, label, panel.columns, categories, context, horizon)


def network_batch(batch: Batch, layout: Layout, description: Description) -> ForecastingBatch:
    """Return what a network reads of some windows, and (y, weight) in units of each window's past.

    A series of large numbers counts as much as one of small ones: pytorch-forecasting's losses are in the series'
    own unit, where the largest would drown the others.
    """
    x, (y_BH, weight_BH) = float64_batch(batch, layout)
    center_B, scale_B = x["target_scale"].unbind(dim=1)
    y_BH = ((y_BH - center_B[:, None]) / scale_B[:, None]).clamp(-FARTHEST, FARTHEST)
    x["target_scale"] = torch.stack([torch.zeros_like(center_B), torch.ones_like(scale_B)], dim=1)
    if description.name == "deepar":
        reals = len(description.reals)
        x["encoder_cont"], x["decoder_cont"] = x["encoder_cont"][..., :reals], x["decoder_cont"][..., :reals]
        x["decoder_cont"][..., reals - 1] = y_BH  # each step is learned from the answers before it
    return single(({name: x[name] for name in _READ}, (y_BH, weight_BH)))


def _build(description: Description) -> Any:
    """Build the library's network; names of its own, as PyTorch takes no column name with a dot."""
    if description.name not in NAMES:
        raise ValueError(f"name is {description.name!r}, wanted one of {', '.join(NAMES)}")
    short = {name: f"real_{index}" for index, name in enumerate(description.reals)}
    static = [f"static_{index}" for index in range(len(description.categories))]
    words = [len(known) + 1 for known in description.categories.values()]  # and UNSEEN
    shared = {
        "hidden_size": description.hidden,
        "static_categoricals": static,
        "static_reals": [short[name] for name in description.static_names],
        "time_varying_reals_encoder": [
            short[name] for name in (*description.known_names, *description.seen_names)
        ],
        "time_varying_reals_decoder": [short[name] for name in description.known_names],
        "x_reals": list(short.values()),
        "x_categoricals": static,
        "embedding_sizes": {name: (count, min(count, 8)) for name, count in zip(static, words, strict=True)},
        "embedding_paddings": static,
        "logging_metrics": nn.ModuleList([]),
        "output_transformer": encoders.EncoderNormalizer(),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on modules among its arguments
        if description.name == "deepar":
            return library.DeepAR(target=short[description.label], loss=_Normal(), **shared)
        return library.TemporalFusionTransformer(
            max_encoder_length=description.context,
            output_size=len(QUANTILE_LEVELS),
            loss=metrics.QuantileLoss(list(QUANTILE_LEVELS)),
            **shared,
        )


class _Normal(metrics.NormalDistributionLoss):
    """The normal law with a least width: one that shrinks to nothing on days without change ends the training."""

    def rescale_parameters(self, parameters: Tensor, target_scale: Tensor, encoder: Any) -> Tensor:
        """Return centre and scale of the window, then location and width of the law."""
        law = super().rescale_parameters(parameters, target_scale, encoder)
        return torch.cat([law[..., :3], law[..., 3:] + _NARROWEST], dim=-1)


def variable_shares(net: ForecastingNet, x: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Return how much weight tft gives to each variable, summed over B windows: encoder, decoder, static, (V,) each.

    In the order of `variable_names`.
    """
    with torch.inference_mode():
        out = net.network.interpret_output(net.network(x), reduction="sum")
    return {
        part: out[f"{part}_variables"].double().cpu().numpy() for part in ("encoder", "decoder", "static")
    }


def variable_names(description: Description) -> dict[str, list[str]]:
    """Return the columns behind the shares of `variable_shares`."""
    return {
        "encoder": [*description.known_names, *description.seen_names],
        "decoder": description.known_names,
        "static": [*description.categories, *description.static_names],
    }
