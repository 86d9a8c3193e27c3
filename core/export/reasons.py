"""Why a network cannot be exported, or an artifact not used: reason codes and their sentences."""

from __future__ import annotations

from core.errors import ConfigError, InputError, InternalFault
from core.reasons import Reasons

OPTIONS = Reasons(
    ConfigError,
    "an option of an export or a runtime",
    {
        "formats_unknown": "formats={name} is not a format: {similar} (there are {known})",
        "formats_empty": "formats=[] asks for nothing; choose among {known}",
        "formats_twice": "formats names {name} twice",
        "backend_missing": "{name} needs the package {package}: pip install 'triptych[{extra}]'",
        "artifacts_on_cpu": "artifacts= runs on the CPU, and {name}=cuda asks for a GPU: leave one of them out",
        "runtime_not_there": "runtime={runtime} of {network} is not in {path}, which holds {held}",
    },
)

ARTIFACTS = Reasons(
    InputError,
    "an exported artifact",
    {
        "export_missing": "{path} holds no {name}: name a folder that stage=export made",
        "export_unreadable": "{path} is not a manifest of stage=export: {why}",
        "export_version": "{path} is a manifest of version {version}; this program reads version {known}",
        "artifact_outside": "{path} names the file {file}, which lies outside its folder",
        "artifact_missing": "{path} names the file {file}, which is not there",
        "artifact_changed": "{file} is not the file that was exported: its SHA-256 differs from the manifest's",
        "artifact_other_model": (
            "{path} was exported from other weights ({held}…) than those in use ({own}…): export them again"
        ),
        "artifact_other_networks": "{path} holds the networks {held}, not {wanted}: it is of another model",
        "artifact_instructions": "{name} in {path} was compiled for {needed}, which this processor lacks",
        "artifact_versions": "{name} in {path} was made with {package} {made}; it runs with that version, not {here}",
        "artifact_gpu": "{file} runs on an NVIDIA GPU, and this machine has none",
        "artifact_other_gpu": "{file} was built by another TensorRT, or for another kind of GPU: export it here",
        "calibration_too_small": "int8 needs at least {least} calibration samples of {network}, and {count} are given",
        "export_other_files": "{path} holds other files: name an empty folder, or one of an earlier stage=export",
    },
)

INPUTS = Reasons(
    InputError,
    "an input of an exported network",
    {
        "predict_count": "{network} takes {wanted} inputs ({names}), not {count}",
        "predict_type": "{network}: {name} is of type {given}, not {wanted}",
        "predict_rank": "{network}: {name} has {given} dimensions, not {wanted} ({dims})",
        "predict_size": "{network}: {name} is {given} along {axis}, which takes {allowed}",
        "predict_differs": "{network}: {axis} is {first} in one input and {second} in {name}",
        "predict_not_finite": "{network}: {name} holds values that are not finite (NaN or infinity)",
        "predict_range": "{network}: {name} holds values from {low:g} to {high:g}, outside {allowed}",
    },
)

FAULTS = Reasons(
    InternalFault,
    "an export",
    {"ports_differ": "{network} names {wanted} outputs and returned {count}"},
)
