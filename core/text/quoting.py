"""Quote what a user gave in a message: printable ASCII on one line, and short."""

from __future__ import annotations

import json

LONGEST = 60  # characters, without what says that it was cut


def quoted(value: object, most: int = LONGEST) -> str:
    """Return a value as a sentence may quote it: in ASCII, as JSON where it can be, cut after `most` characters."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = ascii(value)
    return shortened(text, most)


def shortened(text: str, most: int = LONGEST) -> str:
    """Return a text in printable ASCII without quotation marks, cut after `most` characters."""
    plain = ascii(text)[1:-1] if not (text.isascii() and text.isprintable()) else text
    return plain if len(plain) <= most else f"{plain[:most]}..."


def in_quotes(text: str, most: int = LONGEST) -> str:
    """Return a name between single quotation marks: in printable ASCII, cut after `most` characters.

    >>> in_quotes("holiday.png")
    "'holiday.png'"
    """
    return f"'{shortened(text, most)}'"
