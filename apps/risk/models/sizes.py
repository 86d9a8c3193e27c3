"""How large a riskformer is; the largest ones are planned, not shipped."""

from __future__ import annotations

from dataclasses import dataclass

QUANTILE_LEVELS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4),
    0.5,
    *(0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99, 0.995),
)  # 21: the deciles, and both tails down to the levels that risk is reported at


@dataclass(frozen=True)
class Size:
    """Shape of the network.

    width: of a token. heads: queries; kv_heads: keys and values, shared by heads / kv_heads queries (Ainslie et al.
    2023, arXiv:2305.13245). hidden: of the gated feed-forward layer. patch: steps of time a token holds.
    group_every: each so-manieth layer attends over related series at one time, the others over the times of one
    series (Cohen et al. 2024, arXiv:2407.07874).
    """

    width: int
    layers: int
    heads: int
    kv_heads: int
    hidden: int
    patch: int = 16
    group_every: int = 4

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"width is {self.width}, wanted a multiple of 2 × heads, {2 * self.heads}")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads is {self.heads}, wanted a multiple of kv_heads, {self.kv_heads}")


SIZES = {
    "tiny": Size(width=128, layers=4, heads=4, kv_heads=2, hidden=384, patch=16, group_every=2),
    "50m": Size(width=640, layers=10, heads=10, kv_heads=5, hidden=1760),
    "300m": Size(width=1280, layers=16, heads=20, kv_heads=5, hidden=3840),
    "1b": Size(width=2048, layers=20, heads=32, kv_heads=8, hidden=6144),
    "10b": Size(width=5120, layers=36, heads=40, kv_heads=8, hidden=14336),
}
