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
        "serve_tls_half": "{given}= is of use with {lacking}= alone: add {lacking}=FILE",
    },
)

KEYS = Reasons(
    InputError,
    "a file of API keys",
    {
        "keys_missing": "{path} cannot be read: {cause}",
        "keys_unreadable": "{path} is not a file of keys: {fault}",
        "keys_writable": "{path} may be written by every user of this machine, who could add a key: chmod 600 {path}",
        "keys_name_taken": '{path} has a key "{name}" already: choose another name, or revoke that key first',
        "keys_name_unknown": '{path} has no key "{name}": {hint}',
        "keys_name": "a key's name is a letter and up to 63 more letters, digits, - or _, since it stands in logs",
        "keys_value": "{field} of a key: {fault}",
        "keys_expired_new": "a key that expires at {expires} would be expired now: choose a later time",
    },
)

TLS = Reasons(
    InputError,
    "the certificate of a service, or its private key",
    {
        "tls_unreadable": "{path} cannot be read: {cause}",
        "tls_no_certificate": "{path} holds no certificate that can be read: wanted PEM, BEGIN CERTIFICATE",
        "tls_no_key": "{path} holds no private key that can be read: wanted PEM, BEGIN PRIVATE KEY",
        "tls_key_encrypted": "the private key in {path} is encrypted, and a service has nobody to ask for its "
        "passphrase: store it without one, readable by the service's user alone",
        "tls_mismatch": "the private key in {key} is not that of the certificate in {certificate}",
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

FAULTS = Reasons(
    InternalFault,
    "a fault of a service itself",
    {
        "start_failed": "the service did not start",
        "keys_unused": "this service would not ask for the keys of serve.keys=, and does not start",
    },
)

LIMITS = ServiceReasons(
    "a request outside the limits of a service",
    {
        "target_too_large": (414, "target and headers have {size:,} bytes; at most {most:,} are taken"),
        "headers_too_large": (431, "target and headers have {size:,} bytes; at most {most:,} are taken"),
        "host_not_served": (421, "this service answers as {hosts}"),
        "cross_origin": (403, "a page of another site may not ask this service for work"),
        "body_too_large": (413, "the body has more than {most:,} bytes, the most taken"),
        "body_unpacked_too_large": (
            413,
            "the body has more than {most:,} bytes once unpacked, the most taken",
        ),
        "body_encoding_unknown": (415, "a body may have the Content-Encoding {known}, or none"),
        "body_encoding_damaged": (400, "the body is not whole as {encoding}, and nothing else"),
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
        "model_rows": (500, "the model returned {count} rows of {name} for {wanted}"),
        "model_fault": (500, "the model failed at this request: {type}; the log of the service says where"),
    },
)

ACCESS = ServiceReasons(
    "a request whose key is missing, unknown, or not for this",
    {
        "key_missing": (
            401,
            "this service needs a key: send it as Authorization: Bearer KEY, or as X-API-Key: KEY",
        ),
        "key_unknown": (401, "this key is not known here"),
        "key_expired": (401, "this key expired at {expires}"),
        "key_role": (403, "this needs a key of role {needed}, and yours has role {role}"),
        "key_rate": (429, "this key may be used {most} times a minute; ask again in {seconds} s"),
        "key_at_once": (
            429,
            "this key may have {most} requests under way at once; wait until one has its answer",
        ),
    },
)

FORMS = ServiceReasons(
    "what a request holds",
    {
        "content_type": (415, "the body must be sent as {types}"),
        "body_not_utf8": (400, "the body is not UTF-8"),
        "body_not_json": (400, "the body is not valid JSON"),
        "body_nan": (400, "{word} is not valid JSON: send null for a value that is not known"),
        "body_not_object": (400, "the body must be a JSON object such as {example}"),
        "field_missing": (400, "{param} is missing"),
        "field_type": (400, "{param} is {value}; it must be {wanted}"),
        "field_unknown": (400, "{name} is not a valid field; the fields are {known}"),
    },
)

MODELS = Reasons(
    ConfigError,
    "exported networks that are to be served",
    {
        "models_none": "{paths} holds no network that runs here with runtime={runtime}",
        "models_twice": "{first} and {second} both hold {name}: serve one of them",
        "models_name": "{path} holds a network whose name cannot stand in an address: {name}",
        "models_datatype": "{name} cannot be served: {port} is of type {datatype}, which requests cannot send",
    },
)

INFER = ServiceReasons(
    "a request of the Open Inference Protocol",
    {
        "infer_model_unknown": (
            404,
            "there is no model {name} here; POST /v2/repository/index lists those there are",
        ),
        "infer_version_unknown": (404, "{model} has no version {version}; it has {known}"),
        "infer_not_json": (400, "the request is not valid JSON: {why}"),
        "infer_field": (400, "{field}: {why}"),
        "infer_header_length": (
            400,
            "Inference-Header-Content-Length is {length}, and the body has {size:,} bytes",
        ),
        "infer_header_number": (400, "Inference-Header-Content-Length is a number of bytes"),
        "infer_parameter": (400, "{where} has no parameter {name} here; it has {known}"),
        "infer_parameter_type": (400, "{where}: {name} is {wanted}"),
        "infer_input_unknown": (400, "there is no input {name}; there are {known}"),
        "infer_input_missing": (400, "inputs lacks {names}"),
        "infer_output_unknown": (400, "there is no output {name}; there are {known}"),
        "infer_twice": (400, "{what} {name} is named twice"),
        "infer_datatype": (400, "input {name} has the datatype {given}; it takes {wanted}"),
        "infer_data_once": (400, "input {name} needs either data or binary_data_size"),
        "infer_data_type": (400, "input {name}: some of its data are not values of {datatype}"),
        "infer_data_shape": (400, "input {name}: its data are nested otherwise than the shape {shape}"),
        "infer_data_count": (
            400,
            "input {name}: the shape {shape} takes {wanted:,} values, and {count:,} are given",
        ),
        "infer_binary_size": (
            400,
            "input {name}: the shape {shape} takes {wanted:,} bytes, and {size:,} are named",
        ),
        "infer_binary_left": (400, "{size:,} bytes follow the JSON, and its inputs name {wanted:,}"),
        "infer_not_finite": (400, "output {name} holds values that JSON cannot: ask for it with binary_data"),
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
