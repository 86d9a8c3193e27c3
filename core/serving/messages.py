"""What a service and the process of a model send each other: plain JSON and arrays, never pickles.

A message on the channel (a stream socket) is two sizes, of the head and of all arrays, then the head as JSON, then the
arrays' bytes. Bytes of large arrays do not pass the channel: they lie in memory that both map, one area a direction,
which is free again once the message is answered. It has no name in any file system and goes with its last process.
"""

from __future__ import annotations

import asyncio
import json
import math
import mmap
import os
import socket
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIZES = struct.Struct("!IQ")
_ALIGNED = 64  # bytes: vector units read arrays from such addresses without a detour
_INLINE = 65_536  # bytes: up to here the channel is as fast as shared memory
_KINDS = "biuf"  # of NumPy: bool, signed, unsigned, floating point
_EMPTY: Mapping[str, Any] = {}


@dataclass(frozen=True, eq=False)
class Message:
    """A request to a model, or its answer. content: plain JSON types. arrays: name → numbers or booleans."""

    content: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    arrays: Mapping[str, NDArray] = field(default_factory=lambda: _EMPTY)


class SharedArea:
    """Memory that two processes map by the same descriptor; it grows as messages do."""

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = _new_memory() if descriptor is None else descriptor
        self._map: mmap.mmap | None = None

    def view(self, size: int) -> memoryview:
        """Return the first bytes of the area."""
        if self._map is None or len(self._map) < size:
            if os.fstat(self.descriptor).st_size < size:
                os.ftruncate(self.descriptor, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE)
            # the former map goes with the last array in it
            self._map = mmap.mmap(self.descriptor, 0)
        return memoryview(self._map)[:size]

    def close(self) -> None:
        """Close the descriptor; what is mapped stays."""
        os.close(self.descriptor)


def packed(message: Message, area: SharedArea) -> bytes:
    """Return what goes through the channel for a message; large arrays are put into the area."""
    arrays = [np.ascontiguousarray(array) for array in message.arrays.values()]
    described = []
    for (name, given), array in zip(message.arrays.items(), arrays, strict=True):
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"array {name} has type {array.dtype}")
        described.append([name, array.dtype.str, given.shape])
    head = json.dumps({"content": message.content, "arrays": described}).encode("ascii")
    size = sum(map(_room, arrays))
    body = area.view(size) if size > _INLINE else memoryview(bytearray(size))
    start = 0
    for array in arrays:
        body[start : start + array.nbytes] = array.reshape(-1).view(np.uint8).data
        start += _room(array)
    return b"".join((_SIZES.pack(len(head), size), head, b"" if size > _INLINE else body))


async def send(channel: socket.socket, message: Message, area: SharedArea) -> None:
    """Send a message from the event loop. Raises OSError where nobody listens any more."""
    await asyncio.get_running_loop().sock_sendall(channel, packed(message, area))


async def receive(channel: socket.socket, area: SharedArea) -> Message:
    """Return the next message, in the event loop; its arrays are its own. Raises EOFError at the channel's end."""
    loop = asyncio.get_running_loop()

    async def exactly(count: int) -> bytearray:
        buffer = bytearray(count)
        view, read = memoryview(buffer), 0
        while read < count:
            more = await loop.sock_recv_into(channel, view[read:])
            if not more:
                raise EOFError
            read += more
        return buffer

    head, size = _SIZES.unpack(await exactly(_SIZES.size))
    described = await exactly(head)
    return _message(described, bytearray(area.view(size)) if size > _INLINE else await exactly(size))


def send_now(channel: socket.socket, message: Message, area: SharedArea) -> None:
    """Send a message and wait until it is on its way. Raises OSError where nobody listens any more."""
    channel.sendall(packed(message, area))


def receive_now(channel: socket.socket, area: SharedArea) -> Message:
    """Wait for the next message and return it; its arrays last until it is answered.

    Raises EOFError at the channel's end.
    """

    def exactly(count: int) -> bytearray:
        buffer = bytearray(count)
        view, read = memoryview(buffer), 0
        while read < count:
            more = channel.recv_into(view[read:])
            if not more:
                raise EOFError
            read += more
        return buffer

    head, size = _SIZES.unpack(exactly(_SIZES.size))
    described = exactly(head)
    return _message(described, area.view(size) if size > _INLINE else exactly(size))


def _message(head: bytearray, body: bytearray | memoryview) -> Message:
    described = json.loads(bytes(head))
    arrays: dict[str, NDArray] = {}
    start = 0
    for name, dtype, shape in described["arrays"]:
        array = np.frombuffer(body, np.dtype(dtype), math.prod(shape), start)
        arrays[name] = array.reshape(shape)
        start += _room(array)
    return Message(described["content"], arrays)


def _room(array: NDArray) -> int:
    """Return the bytes that an array takes in a message."""
    return array.nbytes + -array.nbytes % _ALIGNED


def _new_memory() -> int:
    """Return the descriptor of memory without a name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("triptych", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
