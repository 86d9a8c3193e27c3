"""Read the body of a request that may be compressed, with a bound on what it unpacks to."""

from __future__ import annotations

import zlib

from starlette.requests import Request

from core.serving.reasons import LIMITS

# Content-Encoding → the window bits of zlib that read it: RFC 9110, section 8.4.1.
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_NONE = ("", "identity")


async def read_body(request: Request, most: int) -> bytes:
    """Return the whole body of a request, unpacked.

    Raises ServiceError: body_encoding_unknown, body_encoding_damaged, body_unpacked_too_large before more than `most`
    bytes are unpacked; and those of the service's limits.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in _NONE:
        return await request.body()
    if encoding not in _WINDOWS:
        raise LIMITS("body_encoding_unknown", known=" or ".join(_WINDOWS))
    unpacking = zlib.decompressobj(_WINDOWS[encoding])
    pieces: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        try:
            piece = unpacking.decompress(chunk, most - size + 1)
        except zlib.error:
            raise LIMITS("body_encoding_damaged", encoding=encoding) from None
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise LIMITS("body_unpacked_too_large", most=most)
        if unpacking.unused_data:
            break
    if not unpacking.eof or unpacking.unused_data:
        raise LIMITS("body_encoding_damaged", encoding=encoding)
    return b"".join(pieces)
