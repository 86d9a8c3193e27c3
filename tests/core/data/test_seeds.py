"""The seed of a part is so much further on, and none leaves the range."""

import lightning.pytorch as pl
import pytest

from core.data.seeds import SEEDS, seed_of


def test_an_ordinary_seed_goes_on_by_the_number() -> None:
    assert [seed_of(7, number) for number in range(3)] == [7, 8, 9]


@pytest.mark.parametrize("count", [SEEDS, 2**63])
def test_the_largest_seed_stays_in_the_range(count: int) -> None:
    assert [seed_of(count - 1, number, count) for number in range(3)] == [count - 1, 0, 1]


def test_a_seed_of_a_part_is_one_that_lightning_takes() -> None:
    assert pl.seed_everything(seed_of(SEEDS - 1, 3), verbose=False) == 2
    with pytest.raises(ValueError, match="not in bounds"):
        pl.seed_everything(SEEDS, verbose=False)
