"""Peak signal-to-noise ratio by hand."""

from __future__ import annotations

import numpy as np
import pytest

from apps.imagegen.metrics.reconstruction import HIGHEST, mean_psnr, psnr_of_each


def test_by_hand() -> None:
    rgb_NHWC = np.full((3, 4, 4, 3), 100, dtype=np.uint8)
    seen_NHWC = rgb_NHWC.copy()
    seen_NHWC[1] += 1  # an error of 1 everywhere: 20 log10(255) dB
    seen_NHWC[2] = 0  # downwards, an error of 100: 20 log10(2.55) dB
    np.testing.assert_allclose(psnr_of_each(rgb_NHWC, seen_NHWC), [HIGHEST, 48.1308, 8.1308], atol=1e-4)


def test_bytes_do_not_wrap_round() -> None:
    white, black = np.full((1, 2, 2, 3), 255, dtype=np.uint8), np.zeros((1, 2, 2, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        [psnr_of_each(white, black)[0], psnr_of_each(black, white)[0]], 0.0, atol=1e-12
    )


def test_the_mean_is_that_of_the_ratios() -> None:
    result = mean_psnr(np.array([20.0, 30.0, 40.0, 30.0]))
    assert result.value == 30.0
    assert 20.0 <= result.lower < 30.0 < result.upper <= 40.0


@pytest.mark.parametrize(
    "other",
    [np.zeros((1, 4, 4, 3)), np.zeros((1, 4, 5, 3), dtype=np.uint8), np.zeros((4, 4, 3), dtype=np.uint8)],
)
def test_pictures_that_do_not_fit_are_refused(other: np.ndarray) -> None:
    with pytest.raises(ValueError, match="wanted uint8"):
        psnr_of_each(np.zeros((1, 4, 4, 3), dtype=np.uint8), other)
