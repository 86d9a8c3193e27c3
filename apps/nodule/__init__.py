"""Lung nodules on CT: `load_detector` once, then `detect` on folders and files or `detect_array` on voxels."""

from typing import TYPE_CHECKING

from core.api import lazy_names

if TYPE_CHECKING:
    from apps.nodule.api import detect as detect
    from apps.nodule.api import detect_array as detect_array
    from apps.nodule.api import load_detector as load_detector
    from apps.nodule.data.volume import Volume as Volume
    from apps.nodule.infer import SeriesResult as SeriesResult
    from apps.nodule.models.detector import Detector as Detector
    from apps.nodule.models.findings import Candidate as Candidate
    from apps.nodule.models.findings import Finding as Finding
    from core.errors import ConfigError as ConfigError
    from core.errors import InputError as InputError
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "Candidate": "apps.nodule.models.findings",
            "ConfigError": "core.errors",
            "Detector": "apps.nodule.models.detector",
            "Finding": "apps.nodule.models.findings",
            "InputError": "core.errors",
            "SeriesResult": "apps.nodule.infer",
            "Volume": "apps.nodule.data.volume",
            "detect": "apps.nodule.api",
            "detect_array": "apps.nodule.api",
            "load_detector": "apps.nodule.api",
        },
    )
