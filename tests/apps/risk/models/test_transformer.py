"""riskformer's laws: what is unknown, unrelated or in another unit changes nothing; related series and events count."""

from __future__ import annotations

import math

import pytest
import torch

from apps.risk.models.sizes import QUANTILE_LEVELS, Size
from apps.risk.models.transformer import Kind, QuantileHead, RiskFormer, Rows

SIZE = Size(width=32, layers=4, heads=4, kv_heads=2, hidden=48, patch=4, group_every=2)
B, C, H = 6, 18, 7


@pytest.fixture(scope="module")
def net() -> RiskFormer:
    torch.manual_seed(0)
    return RiskFormer(SIZE, categories=(3, 5)).eval()


def rows(seed: int = 0, group: bool = True) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    known = torch.rand(B, C, generator=generator) < 0.8
    known[:, -1] = True
    return Rows(
        past_BC=torch.randn(B, C, generator=generator).cumsum(dim=1),
        known_BC=known,
        ahead_BH=torch.randn(B, H, generator=generator),
        known_BH=torch.zeros(B, H, dtype=torch.bool),
        kind_B=torch.tensor([Kind.TARGET, Kind.TARGET, Kind.KNOWN, Kind.TARGET, Kind.OBSERVED, Kind.STATIC]),
        group_B=torch.tensor([0, 0, 0, 1, 1, 2]) if group else None,
        code_BS=torch.randint(0, 3, (B, 2), generator=generator),
        level_B2=torch.randn(B, 2, generator=generator),
    )


def forecast(net: RiskFormer, given: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.inference_mode():
        result = net(given)
        return result.quantile_BHQ(), result.event_G


def test_shapes_and_quantiles_that_rise(net: RiskFormer) -> None:
    quantile, event = forecast(net, rows())
    assert quantile.shape == (B, H, 21)
    assert event.shape == (3,)
    assert (quantile.diff(dim=-1) > 0).all()
    assert forecast(net, rows(group=False))[1].shape == (B,)


def test_what_is_not_known_changes_nothing(net: RiskFormer) -> None:
    given = rows()
    spoiled = given._replace(
        past_BC=torch.where(given.known_BC, given.past_BC, torch.nan),
        ahead_BH=torch.full((B, H), torch.inf),
    )
    for first, second in zip(forecast(net, given), forecast(net, spoiled), strict=True):
        assert torch.equal(first, second)


def test_a_longer_window_of_nothing_changes_nothing(net: RiskFormer) -> None:
    given = rows()
    longer = given._replace(
        past_BC=torch.cat([torch.full((B, 8), 9.0), given.past_BC], dim=1),
        known_BC=torch.cat([torch.zeros(B, 8, dtype=torch.bool), given.known_BC], dim=1),
    )
    for first, second in zip(forecast(net, given), forecast(net, longer), strict=True):
        assert torch.allclose(first, second, atol=1e-4)


def test_the_unit_does_not_matter(net: RiskFormer) -> None:
    given = rows()
    quantile, event = forecast(net, given)
    other, same = forecast(net, given._replace(past_BC=given.past_BC * 250.0 - 40.0))
    assert torch.allclose(other, quantile * 250.0 - 40.0, rtol=1e-3, atol=0.05)
    assert torch.allclose(event, same, atol=1e-4)


def test_a_group_sees_itself_and_no_other(net: RiskFormer) -> None:
    given = rows()
    before, event = forecast(net, given)
    past = given.past_BC.clone()
    past[4] = -past[4].flip(0)  # a covariate of the second group
    after, other = forecast(net, given._replace(past_BC=past))
    assert torch.allclose(before[[0, 1, 2, 5]], after[[0, 1, 2, 5]], atol=1e-5)
    assert not torch.allclose(before[3], after[3], atol=1e-3)
    assert torch.allclose(event[[0, 2]], other[[0, 2]], atol=1e-5)
    assert abs(event[1] - other[1]) > 1e-5


def test_rows_alone_are_groups_of_one(net: RiskFormer) -> None:
    given = rows(group=False)
    for first, second in zip(
        forecast(net, given), forecast(net, given._replace(group_B=torch.arange(B))), strict=True
    ):
        assert torch.allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("variables", [1, 3])
def test_groups_of_neighbours_are_groups_in_less_time(net: RiskFormer, variables: int) -> None:
    given = rows()._replace(group_B=torch.arange(B) // variables)
    known = given.known_BH.clone()
    known[2] = True
    past_known = given.known_BC.clone()
    past_known[4, :12] = False  # a row of which less is known than of its neighbours
    given = given._replace(known_BH=known, known_BC=past_known)
    with torch.inference_mode():
        slow, fast = net(given), net(given, variables)
    assert torch.allclose(slow.z_BHQ, fast.z_BHQ, atol=1e-5)
    assert torch.allclose(slow.event_G, fast.event_G, atol=1e-5)


def test_what_is_known_in_advance_counts(net: RiskFormer) -> None:
    given = rows()
    known = given.known_BH.clone()
    known[2] = True
    metadata, _ = forecast(net, given._replace(known_BH=known))
    untold, _ = forecast(net, given)
    assert not torch.allclose(metadata[0], untold[0], atol=1e-4), "a covariate of its own group"
    assert torch.allclose(metadata[3], untold[3], atol=1e-5)


def test_statics_level_and_kind_count(net: RiskFormer) -> None:
    given = rows()
    before, _ = forecast(net, given)
    for changed in (
        given._replace(code_BS=(given.code_BS + 1) % 3),
        given._replace(level_B2=given.level_B2 + 1),
        given._replace(kind_B=(given.kind_B + 1) % len(Kind)),
    ):
        assert not torch.allclose(before, forecast(net, changed)[0], atol=1e-3)


def test_an_entity_of_which_nothing_is_known_is_forecast_without_a_fault(net: RiskFormer) -> None:
    given = rows()
    quantile, event = forecast(net, given._replace(known_BC=torch.zeros(B, C, dtype=torch.bool)))
    assert torch.isfinite(quantile).all()
    assert torch.isfinite(event).all()


def test_an_untrained_head_says_about_what_a_normal_law_says() -> None:
    torch.manual_seed(0)
    head = QuantileHead(SIZE, QUANTILE_LEVELS)
    z_Q = head(torch.zeros(1, 2, SIZE.width))[0, 5]
    distance = torch.sinh(z_Q) / math.sqrt(math.pi / 2)
    assert torch.allclose(distance, torch.special.ndtri(torch.tensor(QUANTILE_LEVELS)), atol=1e-4)


def test_every_weight_learns(net: RiskFormer) -> None:
    net.zero_grad()
    result = net(rows())
    (result.z_BHQ.square().mean() + result.event_G.square().mean()).backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []
