"""What the service answers to a request that it cannot serve.

Codes of studies are in `apps.nodule.reasons`; those of every service in `core.serving.reasons`.
"""

from __future__ import annotations

from core.serving.service_error import ServiceReasons

ANSWER = ServiceReasons(
    "A study that is not sent, or asked back, in a form that this service knows",
    {
        "study_type": (415, "a study must be sent as {types}"),
        "not_acceptable": (406, "an answer is sent as {forms}: name one of them in Accept"),
    },
)
