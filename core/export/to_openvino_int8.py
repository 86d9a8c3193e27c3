"""OpenVINO in 8-bit integers: quantised after training by NNCF, on real samples."""

from __future__ import annotations

from pathlib import Path

from core.export.network import Network, Runner
from core.export.reasons import ARTIFACTS
from core.export.to_openvino import compiled, converted, save

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
    names = [one.get_friendly_name() for one in model.get_ops()]
    kept = [name for name in names if any(part in name for part in network.keep)]
    quantised = nncf.quantize(
        model,
        nncf.Dataset(samples),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(samples),
        fast_bias_correction=False,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            # of all samples: the usual mean of their extremes cuts off what is rare, such as what is sought
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            # 7 bits of every weight: processors without VNNI add two products in 16 bits, which overflow
            overflow_fix=OverflowFix.ENABLE,
        ),
        ignored_scope=nncf.IgnoredScope(names=kept, validate=False),
    )
    return save(quantised, path, half=False)


def load(file: Path, threads: int | None) -> Runner:
    """Return the compiled model as a callable; what is not quantised computes in single precision."""
    return compiled(file, threads, "f32")
