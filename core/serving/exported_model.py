"""An exported network as the model of a process (core.serving.model_child): arrays by the names of its ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from core.export.manifest import Artifact
from core.export.network import as_tuple
from core.export.predictor import open_artifact
from core.serving.messages import Message


def build(folder: str, artifact: Mapping[str, Any], threads: int | None) -> Callable[[Message], Message]:
    """Return the model of an artifact, after its files were compared with the hashes of its manifest.

    folder: of the manifest. artifact: as the service read it when it started, so that a folder that is replaced
    meanwhile is not served under the former's description. threads: as `open_artifact` takes them. Raises as it does.
    """
    predictor = open_artifact(TypeAdapter(Artifact).validate_python(artifact), Path(folder), threads=threads)
    ports = predictor.artifact

    def run(message: Message) -> Message:
        inputs = [torch.from_numpy(message.arrays[port.name]) for port in ports.inputs]
        outputs = as_tuple(predictor(*inputs))
        return Message(
            {}, {port.name: output.numpy() for port, output in zip(ports.outputs, outputs, strict=True)}
        )

    return run
