"""Why a service cannot start, and what it answers to a request that it cannot serve."""

from __future__ import annotations

from core.errors import ConfigError, InputError, InternalFault
from core.reasons import Reasons
from core.serving.service_error import CLIENT_GONE, ServiceReasons

OPTIONS = Reasons(
    ConfigError,
    "the options of a service",
    {
        "serve_origin": (
            "serve.origins={origin}: an origin is written as https://app.example.org or http://localhost:3000"
        ),
    },
)

ADDRESS = Reasons(
    InputError,
    "the address of a service",
    {
        "port_taken": "port {port} of {host} is taken by another program: choose another, or 0 for a free one",
        "port_forbidden": "port {port} may not be opened by this user: choose one above 1023",
        "host_unknown": (
            "{host} is not an address of this machine: 127.0.0.1 serves this machine alone, 0.0.0.0 the network"
        ),
        "host_unusable": "{host}:{port} cannot be opened: {cause}",
    },
)

FAULTS = Reasons(InternalFault, "a fault of a service itself", {"start_failed": "the service did not start"})

LIMITS = ServiceReasons(
    "a request outside the limits of a service",
    {
        "target_too_large": (414, "target and headers have {size:,} bytes; at most {most:,} are taken"),
        "headers_too_large": (431, "target and headers have {size:,} bytes; at most {most:,} are taken"),
        "host_not_served": (421, "this service answers as {hosts}"),
        "cross_origin": (403, "a page of another site may not ask this service for work"),
        "body_too_large": (413, "the body has more than {most:,} bytes, the most taken"),
        "body_too_slow": (408, "the body took longer than {seconds:g} s to arrive"),
        "client_stalled": (CLIENT_GONE, "the client took nothing of its answer for {seconds:g} s"),
        "client_gone": (CLIENT_GONE, "the client left before it was answered"),
    },
)

STARTS = Reasons(
    InternalFault,
    "the process of a model that does not start",
    {
        "model_start_ended": "the process of the model ended by {how} before its model was loaded",
        "model_start_slow": "the process of the model did not load it within {seconds:g} s",
        "model_start_fault": "the process of the model failed to load it: {type} at {where}",
    },
)

MODEL = ServiceReasons(
    "a request that the process of a model did not answer",
    {
        "model_busy": (429, "{waiting} requests wait already; ask again in a moment"),
        "model_restarting": (
            503,
            "the process of the model ended and is started again; ask again in a moment",
        ),
        "model_ended": (503, "the process of the model ended during this request; ask again"),
        "model_ended_twice": (
            500,
            "the process of the model ended during this request, and again at its repetition",
        ),
        "model_timeout": (504, "the model did not answer within {seconds:g} s, and its process was ended"),
        "model_fault": (500, "the model failed at this request: {type}; the log of the service says where"),
    },
)

STATE = ServiceReasons(
    "a service that cannot answer now",
    {
        "not_ready": (503, "not ready: {reason}"),
        "shutting_down": (503, "this service is shutting down; ask again in a moment"),
        "internal_error": (500, "something went wrong here; the log of the service knows it as {request}"),
    },
)

ROUTE = ServiceReasons(
    "a request that no route takes",
    {
        "not_found": (404, "there is nothing at {path}"),
        "method_not_allowed": (405, "{path} takes {allowed}, not {method}"),
        "body_unreadable": (400, "the body cannot be read as what its Content-Type says"),
        "request_refused": (400, "{detail}"),
    },
)
