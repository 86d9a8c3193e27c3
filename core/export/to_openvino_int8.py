"""OpenVINO in 8-bit integers: quantised after training by NNCF, on real samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.export.network import Network, Runner, as_tuple
from core.export.reasons import ARTIFACTS
from core.export.to_openvino import compiled, converted, save

JUDGED = 12  # calibration samples by which layers return to single precision, where a network asks for it
_NO_OPERATION = ("Constant", "Parameter", "Result")
LEAST = 32  # five samples cost the detector a third of its findings


def write(network: Network, path: Path) -> list[Path]:
    """Write `path`.xml and `path`.bin and return them, the .xml first.

    Raises InputError, calibration_too_small, where there are fewer than `LEAST` samples.
    """
    import nncf
    from nncf.quantization.advanced_parameters import OverflowFix
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    samples = [
        [tensor.contiguous().numpy() for tensor in one]
        for one in (network.calibration() if network.calibration else ())
    ]
    if len(samples) < LEAST:
        raise ARTIFACTS("calibration_too_small", network=network.name, count=len(samples), least=LEAST)
    model = converted(network)
    options: dict[str, Any] = {
        "preset": nncf.QuantizationPreset.MIXED,
        "subset_size": len(samples),
        # with smoothed activations the accurate one gains nothing, and takes minutes
        "fast_bias_correction": network.attention,
        "ignored_scope": nncf.IgnoredScope(names=_kept(network, model), validate=False),
    }
    if network.attention:
        # SmoothQuant (Xiao et al. 2023, arXiv:2211.10438): channels that are large are made smaller, and the weights
        # that they meet larger; softmax and masks stay in f32
        options["model_type"] = nncf.ModelType.TRANSFORMER
    advanced = nncf.AdvancedQuantizationParameters(
        # of all samples: the usual mean of their extremes cuts off what is rare, such as what is sought
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
        # 7 bits of every weight: processors without VNNI add two products in 16 bits, which overflow
        overflow_fix=OverflowFix.ENABLE,
    )
    dataset = nncf.Dataset(samples)
    if network.int8_error is None:
        quantised = nncf.quantize(model, dataset, advanced_parameters=advanced, **options)
    else:
        quantised = nncf.quantize_with_accuracy_control(
            model,
            dataset,
            nncf.Dataset(samples[:JUDGED]),
            _closeness(network),
            max_drop=network.int8_error,
            advanced_quantization_parameters=advanced,
            **options,
        )
    return save(quantised, path, half=False)


def _kept(network: Network, model: Any) -> list[str]:
    """Return the names of the operations that stay in single precision."""
    return [
        op.get_friendly_name()
        for op in model.get_ops()
        if any(part in op.get_friendly_name() for part in network.keep)
        or (network.quantised and op.get_type_name() not in (*network.quantised, *_NO_OPERATION))
    ]


def _closeness(
    network: Network,
) -> Callable[[Any, Iterable[Sequence[np.ndarray]]], tuple[float, list[float]]]:
    """Return what NNCF judges by: 1 less the error of the first output, root mean squares, as a mean and by sample."""

    def closeness(compiled: Any, samples: Iterable[Sequence[np.ndarray]]) -> tuple[float, list[float]]:
        each = []
        for sample in samples:
            with torch.no_grad():
                exact = as_tuple(network.module(*map(torch.from_numpy, sample)))[0].numpy()
            given = compiled(list(sample))[0]
            each.append(1 - float(np.linalg.norm(given - exact) / np.linalg.norm(exact)))
        return sum(each) / len(each), each

    return closeness


def load(file: Path, threads: int | None) -> Runner:
    """Return the compiled model as a callable; what is not quantised computes in single precision."""
    return compiled(file, threads, "f32")
