"""The part of Triton's model configuration that an export writes, as a protobuf schema.

Source: protobuf/model_config.proto of triton-inference-server/common, names and numbers of the fields. NVIDIA's own
package tritonclient, which holds all of it, wants an older protobuf than onnx.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

DATA_TYPES = {
    "TYPE_INVALID": 0, "TYPE_BOOL": 1, "TYPE_UINT8": 2, "TYPE_UINT16": 3, "TYPE_UINT32": 4, "TYPE_UINT64": 5,
    "TYPE_INT8": 6, "TYPE_INT16": 7, "TYPE_INT32": 8, "TYPE_INT64": 9, "TYPE_FP16": 10, "TYPE_FP32": 11,
    "TYPE_FP64": 12, "TYPE_STRING": 13, "TYPE_BF16": 14,
}  # fmt: skip
KINDS = {"KIND_AUTO": 0, "KIND_GPU": 1, "KIND_CPU": 2, "KIND_MODEL": 3}
# Message → field → (number, type, whether it is repeated). A type is protobuf's own, or one of these.
MESSAGES = {
    "ModelConfig": {
        "name": (1, "string", False),
        "max_batch_size": (4, "int32", False),
        "input": (5, "ModelInput", True),
        "output": (6, "ModelOutput", True),
        "instance_group": (7, "ModelInstanceGroup", True),
        "dynamic_batching": (11, "ModelDynamicBatching", False),
        "backend": (17, "string", False),
    },
    "ModelInput": {
        "name": (1, "string", False),
        "data_type": (2, "DataType", False),
        "dims": (4, "int64", True),
        "reshape": (5, "ModelTensorReshape", False),
    },
    "ModelOutput": {
        "name": (1, "string", False),
        "data_type": (2, "DataType", False),
        "dims": (3, "int64", True),
        "reshape": (5, "ModelTensorReshape", False),
    },
    "ModelTensorReshape": {"shape": (1, "int64", True)},
    "ModelInstanceGroup": {"count": (2, "int32", False), "kind": (4, "Kind", False)},
    "ModelDynamicBatching": {"max_queue_delay_microseconds": (2, "uint64", False)},
}
ENUMS = {"DataType": DATA_TYPES, "Kind": KINDS}
_FIELD = descriptor_pb2.FieldDescriptorProto


def _schema() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="model_config.proto", package="inference", syntax="proto3")
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for value, number in values.items():
            enum.value.add(name=value, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            own = kind in MESSAGES or kind in ENUMS
            message.field.add(
                name=field,
                number=number,
                type=_type(kind),
                type_name=f".inference.{kind}" if own else None,
                label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL,
            )
    return file


def _type(kind: str) -> Any:
    if kind in ENUMS:
        return _FIELD.TYPE_ENUM
    return _FIELD.TYPE_MESSAGE if kind in MESSAGES else getattr(_FIELD, f"TYPE_{kind.upper()}")


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_schema())
ModelConfig: Any = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("inference.ModelConfig"))
