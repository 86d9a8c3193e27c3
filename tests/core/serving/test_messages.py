from __future__ import annotations

import asyncio
import os
import socket
import threading

import numpy as np
import pytest

from core.serving.messages import Message, SharedArea, packed, receive, receive_now, send, send_now

SMALL = {
    "bool": np.array([[True], [False]]),
    "half": np.arange(3, dtype="f2"),
    "none": np.zeros((0, 4), "i8"),
    "one": np.array(2.5),
    "turned": np.arange(6, dtype="i4").reshape(2, 3).T,
}


def both_ways(message: Message) -> tuple[Message, Message]:
    """Send a message to a thread, which sends it back; return what each side got."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    to, back = SharedArea(), SharedArea()
    seen: list[Message] = []

    def mirror() -> None:
        area, answers = SharedArea(os.dup(to.descriptor)), SharedArea(os.dup(back.descriptor))
        seen.append(receive_now(theirs, area))
        send_now(theirs, seen[0], answers)

    thread = threading.Thread(target=mirror)
    thread.start()

    async def exchange() -> Message:
        await send(ours, message, to)
        return await receive(ours, back)

    with ours, theirs:
        answer = asyncio.run(exchange())
        thread.join()
    to.close()
    back.close()
    return seen[0], answer


@pytest.mark.parametrize("arrays", [{}, SMALL, {"large": np.arange(100_000, dtype="f8"), **SMALL}])
def test_a_message_arrives_whole_on_both_ways(arrays: dict[str, np.ndarray]) -> None:
    content = {"id": "\ud800 ü", "numbers": [1, 2.5, None]}
    for got in both_ways(Message(content, arrays)):
        assert got.content == content
        assert list(got.arrays) == list(arrays)
        for name, array in arrays.items():
            assert got.arrays[name].dtype == array.dtype
            np.testing.assert_array_equal(got.arrays[name], array)
            assert got.arrays[name].flags.writeable
            assert got.arrays[name].flags.aligned


def test_large_arrays_do_not_pass_the_channel_and_the_area_grows() -> None:
    area = SharedArea()
    try:
        for count in (20_000, 10, 300_000):
            through = packed(Message({}, {"x": np.ones(count, "f4")}), area)
            assert len(through) < 1000
        assert os.fstat(area.descriptor).st_size >= 1_200_000
        np.testing.assert_array_equal(np.frombuffer(area.view(1_200_000), "f4"), np.ones(300_000, "f4"))
    finally:
        area.close()


def test_objects_are_not_sent() -> None:
    area = SharedArea()
    with pytest.raises(TypeError, match="array x has type object"):
        packed(Message({}, {"x": np.array([{}])}), area)
    area.close()


def test_the_end_of_the_channel_is_noticed_in_mid_message() -> None:
    ours, theirs = socket.socketpair()
    area = SharedArea()
    theirs.sendall(packed(Message({"a": 1}), area)[:-3])
    theirs.close()
    with ours, pytest.raises(EOFError):
        receive_now(ours, area)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.close()
    with ours, pytest.raises(EOFError):
        asyncio.run(receive(ours, area))
    area.close()
