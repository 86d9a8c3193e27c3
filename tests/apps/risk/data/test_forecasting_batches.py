"""The format of pytorch-forecasting: batch by batch against its own TimeSeriesDataSet, and a TFT that trains on it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from apps.risk.data.columns import Columns
from apps.risk.data.forecasting_batches import ForecastingBatch, Layout, forecasting_batch, layout_of
from apps.risk.data.panel import Panel
from apps.risk.data.windows import Windows, WindowStream
from tests.apps.risk.data.panels import panel_of, ragged
from tests.apps.risk.data.plain_windows import in_order

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pytorch_forecasting import TemporalFusionTransformer, TimeSeriesDataSet
    from pytorch_forecasting.data import EncoderNormalizer, NaNLabelEncoder
    from pytorch_forecasting.metrics import QuantileLoss

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, of pandas, sklearn and lightning

CONTEXT, HORIZON = 6, 3
COLUMNS = Columns(
    targets=("target",), observed=("seen",), known=("due",), statics=("kind",), static_numbers=("age",)
)
KNOWN = 4  # static, length, known, relative time: the columns of *_cont that are known ahead


def table() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    parts = []
    for entity, length, kind, age in (("a", 14, "y", 30.0), ("b", 9, "x", 50.0), ("c", 11, "y", 41.0)):
        times = pd.date_range("2024-01-01", periods=length)
        level = draw.normal(5, 2, size=(length, 3)).cumsum(axis=0)
        part = pd.DataFrame(level, columns=["target", "seen", "due"])
        parts.append(part.assign(entity=entity, time=times, kind=kind, age=age))
    return pd.concat(parts, ignore_index=True)


def theirs(frame: pd.DataFrame) -> TimeSeriesDataSet:
    data = frame.assign(step=(frame["time"] - frame["time"].min()).dt.days).drop(columns="time")
    data = data.astype({"entity": object, "kind": object})
    return TimeSeriesDataSet(
        data,
        time_idx="step",
        target="target",
        group_ids=["entity"],
        max_encoder_length=CONTEXT,
        min_encoder_length=2,
        max_prediction_length=HORIZON,
        min_prediction_length=HORIZON,
        static_categoricals=["kind"],
        static_reals=["age"],
        time_varying_known_reals=["due"],
        time_varying_unknown_reals=["target", "seen"],
        target_normalizer=EncoderNormalizer(),
        categorical_encoders={"kind": NaNLabelEncoder(add_nan=True)},
        add_relative_time_idx=True,
        add_encoder_length=True,
    )


def ours(panel: Panel, layout: Layout, number_B: list[int], shortest: int = 2) -> ForecastingBatch:
    windows = Windows(panel, CONTEXT, HORIZON, shortest=shortest)
    return forecasting_batch(windows.gather(windows.origins(np.array(number_B))), layout)


def key(x: dict[str, torch.Tensor], index: int) -> tuple[int, int]:
    return int(x["groups"][index, 0]), int(x["decoder_time_idx"][index, 0])


def test_batches_are_those_of_their_own_data_set() -> None:
    frame = table()
    panel, dataset = panel_of(frame, COLUMNS), theirs(frame)
    layout = layout_of(panel, CONTEXT)
    assert dataset.reals == [*layout.static_reals, *layout.known_reals, "target", *layout.observed]
    windows = Windows(panel, CONTEXT, HORIZON, shortest=2)
    x, _ = ours(panel, layout, list(range(len(windows))))
    number = {key(x, index): index for index in range(len(windows))}
    assert len(number) == len(windows) == 10 + 5 + 7
    items = [dataset[index] for index in range(len(dataset))]
    collated, _ = dataset._collate_fn(items)
    # theirs has windows with part of the past, too; those with all of it are the ones that there are here
    whole = [
        index
        for index in range(len(items))
        if collated["encoder_lengths"][index] == x["encoder_lengths"][number[key(collated, index)]]
    ]
    assert sorted(key(collated, index) for index in whole) == sorted(number)
    items = [items[index] for index in whole]
    collated, _ = dataset._collate_fn(items)
    # batches in which all windows are whole, none is, and some are
    lengths = collated["encoder_lengths"]
    for chosen in (lengths == CONTEXT, lengths < 4, lengths > 0):
        indices = chosen.nonzero()[:, 0].tolist()
        assert len(indices) > 3
        wanted, (y, weight) = dataset._collate_fn([items[index] for index in indices])
        x, (our_y, our_weight) = ours(panel, layout, [number[key(wanted, i)] for i in range(len(indices))])
        assert set(x) == set(wanted)
        for name, value in wanted.items():
            assert x[name].dtype == value.dtype, name
            assert x[name].shape == value.shape, name
            if name == "decoder_cont":
                torch.testing.assert_close(x[name][..., :KNOWN], value[..., :KNOWN])
                assert x[name][..., KNOWN:].abs().sum() == 0  # what nobody knows ahead stays unknown
            else:
                torch.testing.assert_close(x[name], value, msg=lambda text, name=name: f"{name}: {text}")
        torch.testing.assert_close(our_y, y)
        assert our_weight is weight is None


def network(dataset: TimeSeriesDataSet) -> Any:
    torch.manual_seed(0)
    return TemporalFusionTransformer.from_dataset(
        dataset, hidden_size=8, attention_head_size=2, dropout=0.0, loss=QuantileLoss([0.1, 0.5, 0.9])
    )


@pytest.mark.slow
def test_their_transformer_trains_through_this_loader() -> None:
    frame = table()
    panel = panel_of(frame, COLUMNS)
    layout, model = layout_of(panel, CONTEXT), network(theirs(frame))
    windows = Windows(panel, CONTEXT, HORIZON, shortest=2)
    stream = WindowStream(windows, 16, seed=1, convert=lambda batch: forecasting_batch(batch, layout))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for step, (x, y) in enumerate(stream):
        if step == 25:
            break
        loss = model.loss(model(x)["prediction"], y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_it_takes_what_their_data_set_refuses() -> None:
    # missing covariates, targets and answers, a series of nothing, unseen categories, single rows
    rows = [ragged().assign(entity=lambda t, n=n: t["entity"] + str(n)) for n in range(2)]
    panel = panel_of(pd.concat(rows), as_of="2024-01-04", categories={"kind": ("x", "y")})
    layout, model = layout_of(panel, CONTEXT), network(theirs(table()))
    for batch in (Windows(panel, CONTEXT, HORIZON).latest(), next(in_order(Windows(panel, CONTEXT, 2), 9))):
        x, (y, weight) = forecasting_batch(batch, layout)
        assert weight is not None
        assert weight.sum() == batch.label_known_BHT.sum()
        for name, value in x.items():
            assert torch.isfinite(value).all(), name
        loss = model.loss(model(x)["prediction"], (y, weight))
        assert torch.isfinite(loss)
    assert x["encoder_lengths"].min() >= 1


def test_missing_answers_do_not_count() -> None:
    panel = panel_of(ragged())
    layout = layout_of(panel, CONTEXT)
    windows = Windows(panel, CONTEXT, HORIZON, shortest=1)
    _, (y, weight) = forecasting_batch(windows.gather(windows.origins(np.array([0, 1]))), layout)
    assert weight is not None
    assert weight.tolist() == [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    assert y[0].tolist() == [2.0, 1.0, 4.0]  # in place of the missing answer, the mean of the window's past


def test_a_flat_past_has_a_scale_of_one() -> None:
    frame = table().assign(target=3.0)
    panel = panel_of(frame, COLUMNS)
    x, _ = ours(panel, layout_of(panel, CONTEXT), [0, 1, 2])
    assert x["target_scale"].tolist() == [[3.0, 1.0]] * 3
    assert x["encoder_cont"][..., KNOWN].abs().sum() == 0


def test_another_label_can_be_the_target_and_extra_columns_left_out() -> None:
    columns = Columns(targets=("target", "seen"), observed=(), known=("due",))
    panel = panel_of(table(), columns)
    layout = layout_of(panel, CONTEXT, "seen", relative_time=False, length=False)
    assert (layout.target, layout.observed, layout.static_reals) == (1, ("target",), [])
    assert layout.known_reals == ["due"]
    windows = Windows(panel, CONTEXT, HORIZON)
    batch = windows.gather(windows.origins(np.array([8])))
    x, (y, _) = forecasting_batch(batch, layout)
    assert x["encoder_cont"].shape == (1, CONTEXT, 3)
    assert torch.equal(y, batch.label_BHT[..., 1].float())
    past = batch.past_BCF[0, :, 1]
    torch.testing.assert_close(x["encoder_cont"][0, :, 1], ((past - past.mean()) / past.std()).float())
