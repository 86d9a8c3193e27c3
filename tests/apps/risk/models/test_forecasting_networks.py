"""Networks of pytorch-forecasting from a description: their input, their loss, their law."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys

import numpy as np
import pytest
import torch
from scipy.special import ndtri

from apps.risk.data.windows import Windows
from apps.risk.models.forecasting_networks import (
    FARTHEST,
    Description,
    ForecastingNet,
    description_of,
    network_batch,
    variable_names,
    variable_shares,
)
from apps.risk.models.sizes import QUANTILE_LEVELS
from core.errors import InputError
from tests.apps.risk.models.driven import driven, driven_panel, untrained

PANEL = driven_panel()
WINDOWS = Windows(PANEL, 24, 3, shortest=20)
BATCH = WINDOWS.gather(WINDOWS.origins(np.array([0, 30, 130])))


def batch(name: str) -> tuple[ForecastingNet, dict[str, torch.Tensor], torch.Tensor]:
    net = untrained(name, PANEL).net.eval()
    x, (y, weight) = network_batch(BATCH, net.layout(PANEL), net.description)
    assert weight is None
    return net, x, y


def test_a_description_survives_json() -> None:
    metadata = description_of("tft", PANEL, "target", 24, 3)
    assert Description.read(json.loads(json.dumps(dataclasses.asdict(metadata)))) == metadata
    assert metadata.reals == [
        "age",
        "encoder_length",
        "due.sum",
        "relative_time_idx",
        "target",
        "seen",
        "noise",
    ]
    with pytest.raises(TypeError):
        Description.read({**dataclasses.asdict(metadata), "newer": 1})


def test_an_answer_counts_in_units_of_its_windows_past() -> None:
    _, x, y = batch("tft")
    past = BATCH.past_BCF[1, :, 0]
    wanted = (BATCH.label_BHT[1, :, 0] - past.mean()) / past.std()
    torch.testing.assert_close(y[1], wanted.float())
    assert x["target_scale"].tolist() == [[0.0, 1.0]] * 3
    # a day after a past of next to no change does not count more than FARTHEST
    still = driven().assign(target=lambda t: np.where(t.index % 90 == 24, 1e6, 1e-3 * (t.index % 2)))
    panel = driven_panel(still)
    windows = Windows(panel, 24, 3, shortest=24)
    net = untrained("tft", panel).net
    _, (far, _) = network_batch(
        windows.gather(windows.origins(np.array([0]))), net.layout(panel), net.description
    )
    assert far[0, 0] == FARTHEST


def test_quantiles_are_learned_by_the_pinball_loss() -> None:
    net, x, y = batch("tft")
    prediction = net(x)
    assert prediction.shape == (3, 3, len(QUANTILE_LEVELS))
    error = y[..., None] - prediction
    level = torch.tensor(QUANTILE_LEVELS)
    wanted = 2 * torch.maximum(level * error, (level - 1) * error).mean()
    torch.testing.assert_close(net.loss(prediction, (y, None)), wanted)
    weight = torch.tensor([[1.0, 0.0, 1.0]] * 3)
    half = 2 * (torch.maximum(level * error, (level - 1) * error) * weight[..., None]).mean()
    torch.testing.assert_close(net.loss(prediction, (y, weight)), half)


def test_deepar_takes_the_label_alone_and_learns_from_the_answers_before() -> None:
    net, x, y = batch("deepar")
    assert net.description.reals == ["age", "encoder_length", "due.sum", "relative_time_idx", "target"]
    assert x["encoder_cont"].shape[2] == x["decoder_cont"].shape[2] == 5
    assert torch.equal(x["decoder_cont"][..., 4], y)
    law = net(x)
    changed = {**x, "decoder_cont": x["decoder_cont"].clone()}
    changed["decoder_cont"][:, 1, 4] += 1.0  # the second answer: the third day's law alone may change
    again = net(changed)
    assert torch.equal(again[:, :2], law[:, :2])
    assert not torch.equal(again[:, 2], law[:, 2])


def test_deepars_paths_follow_its_law_step_by_step() -> None:
    net, x, _ = batch("deepar")
    score = torch.from_numpy(ndtri(np.array([0.1, 0.5, 0.8])).astype(np.float32))
    score_BSH = score[None, :, None].expand(3, 3, 3).contiguous()
    path_BSH = net.sample(x, score_BSH)
    for s in range(3):
        # the library's own teacher-forced law, at the path's own values
        law = net(
            {**x, "decoder_cont": torch.cat([x["decoder_cont"][..., :4], path_BSH[:, s, :, None]], dim=2)}
        )
        torch.testing.assert_close(path_BSH[:, s], law[..., 2] + law[..., 3] * score[s], rtol=1e-4, atol=1e-5)


def test_the_normal_law_has_a_least_width() -> None:
    net, _, _ = batch("deepar")
    out = torch.tensor([[[0.5, -300.0]]])
    law = net.network.loss.rescale_parameters(out, torch.tensor([[0.0, 1.0]]), net.network.output_transformer)
    torch.testing.assert_close(law, torch.tensor([[[0.0, 1.0, 0.5, 1e-3]]]))


def test_shares_belong_to_the_columns_in_order() -> None:
    net, x, _ = batch("tft")
    names, shares = variable_names(net.description), variable_shares(net, x)
    assert names["encoder"] == ["due.sum", "relative_time_idx", "target", "seen", "noise"]
    assert names["decoder"] == ["due.sum", "relative_time_idx"]
    assert names["static"] == ["kind", "age", "encoder_length"]
    assert {part: len(share) for part, share in shares.items()} == {part: len(names[part]) for part in names}
    for share in shares.values():
        assert share.sum() == pytest.approx(3, rel=1e-5)  # one a window
    # the order that the network itself goes by
    own = net.network
    indices = [own.hparams.x_reals.index(name) for name in own.hparams.time_varying_reals_encoder]
    assert [net.description.reals[index] for index in indices] == names["encoder"]


def test_an_unknown_word_has_no_say() -> None:
    net, _, _ = batch("tft")
    embedding = net.network.input_embeddings.embeddings["static_0"]
    assert embedding.weight.shape[0] == 3  # x, y, and what was not there in training
    assert embedding.weight[0].abs().sum() == 0
    assert embedding.padding_idx == 0


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="name is 'nhits', wanted one of tft, deepar"):
        ForecastingNet(description_of("nhits", PANEL, "target", 24, 3))


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "apps.risk.models.forecasting_networks"
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pytorch_forecasting", None)
    with pytest.raises(InputError, match=r"not installed: pip install 'pytorch-forecasting>=1\.8'") as caught:
        importlib.import_module(name)
    assert caught.value.code == "package_missing"
