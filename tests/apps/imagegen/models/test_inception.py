"""The converted Inception-v3 against the original, which ran in Node.js; and what its archive must hold.

The original's weights are fetched by npm once, 25 MB, into the checkout's cache.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from apps.imagegen.models import inception
from apps.imagegen.models.inception import CLASSES, WIDTH, Inception, fill, load_inception, weights_of
from core.errors import InputError

ROOT = Path(__file__).resolve().parents[4]
CACHE = ROOT / ".cache" / "imagegen"
GOLDEN = json.loads((ROOT / "tests" / "golden" / "inception_nsfwjs.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def net() -> Inception:
    try:
        return load_inception(CACHE)
    except InputError as error:
        if error.code not in ("npm_missing", "package_unreachable"):
            raise
        pytest.skip(error.sentence)


def picture(name: str) -> np.ndarray:
    """Return a picture that any program can draw: three waves of bytes, 128 × 128, or cut to 90 × 110."""
    y, x = np.mgrid[0:128, 0:128]
    if name == "square":
        return np.stack([x * 2 % 256, y * 2 % 256, x * y // 64 % 256], axis=-1).astype(np.uint8)
    channels = [(x * 5 + y) % 256, (x + y * 3) % 256, (x ^ y) * 2 % 256]
    return np.stack(channels, axis=-1).astype(np.uint8)[:90, :110]


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["picture"])
def test_equal_to_the_original(net: Inception, case: dict[str, Any]) -> None:
    rgb_1HWC = picture(case["picture"])[None]
    feature_F = net.features(rgb_1HWC)[0].numpy()
    assert feature_F.shape == (WIDTH,)
    np.testing.assert_allclose(feature_F[:12], case["features"], atol=2e-6)
    np.testing.assert_allclose(feature_F.sum(dtype=np.float64), case["sum"], rtol=1e-5)
    probability_K = net.head(net.features(rgb_1HWC)).softmax(dim=1)[0].numpy()
    np.testing.assert_allclose(probability_K, case["probabilities"], atol=2e-6)
    assert len(probability_K) == len(CLASSES)


def test_features_of_no_pictures(net: Inception) -> None:
    assert net.features(np.zeros((0, 8, 8, 3), dtype=np.uint8)).shape == (0, WIDTH)


def script(text: str) -> str:
    """Return text as nsfwjs packs it: a module that exports one string."""
    return f'!function(){{"object"==typeof exports}}({{1:[function(a,b,c){{b.exports="{text}"}},{{}}]}},{{}},[1]);'


def scripts(data: bytes, result: str) -> dict[str, str]:
    shards = (data[:5], data[5:])  # a weight may lie on both sides of a cut
    packed = {
        f"group1-shard{n}of2.min.js": script(base64.b64encode(shard).decode())
        for n, shard in enumerate(shards, start=1)
    }
    return {**packed, "model.min.js": f"i.exports={{weightsManifest:[{{weights:[{result}]}}]}}"}


TOLD = (
    '{name:"a/kernel",shape:[2,3],dtype:"float32",quantization:{min:-.5,scale:.25,dtype:"uint8"}},'
    '{name:"a/bias",shape:[2],dtype:"float32",quantization:{min:1e-3,scale:2,dtype:"uint8"}}'
)


def test_weights_by_hand() -> None:
    result = weights_of(scripts(bytes([0, 1, 2, 3, 4, 255, 0, 7]), TOLD))
    assert list(result) == ["a/kernel", "a/bias"]
    np.testing.assert_allclose(result["a/kernel"], [[-0.5, -0.25, 0.0], [0.25, 0.5, 63.25]])
    np.testing.assert_allclose(result["a/bias"], [1e-3, 14.001], rtol=1e-6)
    assert result["a/bias"].dtype == np.float32


@pytest.mark.parametrize("size", [0, 7, 9])
def test_bytes_that_do_not_fit_are_refused(size: int) -> None:
    with pytest.raises(InputError, match="does not hold the network") as caught:
        weights_of(scripts(bytes(size), TOLD))
    assert caught.value.code == "package_incomplete"


def test_an_archive_of_another_layout_is_refused() -> None:
    with pytest.raises(InputError, match="does not hold the network"):
        weights_of({})


def test_a_network_is_filled_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Normalisation by running mean and variance, then beta: what is folded gives the same as the three steps."""
    monkeypatch.setattr(inception, "_EPSILON", 0.0)
    net = nn.Sequential(nn.Conv2d(2, 1, 1), nn.Linear(1, 1))
    weight_by_name = {
        "conv2d_1/kernel": np.array([[[[3.0], [5.0]]]], dtype=np.float32),
        "batch_normalization_1/moving_variance": np.array([4.0], dtype=np.float32),
        "batch_normalization_1/moving_mean": np.array([10.0], dtype=np.float32),
        "batch_normalization_1/beta": np.array([0.5], dtype=np.float32),
        "dense_1/kernel": np.array([[2.0]], dtype=np.float32),
        "dense_1/bias": np.array([1.0], dtype=np.float32),
    }
    fill(net, weight_by_name)  # type: ignore[arg-type]
    x_1CHW = torch.tensor([7.0, 1.0])[None, :, None, None]
    normal = (3.0 * 7.0 + 5.0 * 1.0 - 10.0) / 2.0 + 0.5
    assert net(x_1CHW).item() == pytest.approx(2.0 * normal + 1.0)
    del weight_by_name["dense_1/bias"]
    with pytest.raises(InputError, match="does not hold the network"):
        fill(net, weight_by_name)  # type: ignore[arg-type]
