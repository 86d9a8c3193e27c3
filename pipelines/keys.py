"""The entry point of API keys: `triptych-keys new | list | revoke FILE`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.cli.subcommands import Parser, answer, count, table
from core.text.quoting import in_quotes

NOTHING = "-"
_DAYS = re.compile(r"([1-9][0-9]{0,4})d")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; what goes wrong is one line on stderr."""

    def work() -> str:
        words = _parser().parse_args(sys.argv[1:] if argv is None else list(argv))
        text: str = words.work(words)
        return text

    return answer("triptych-keys", work)


def _new(words: argparse.Namespace) -> str:
    from core.serving.keys import new_key

    secret = new_key(
        words.file,
        words.name,
        words.role,
        requests_per_minute=words.per_minute,
        requests_at_once=words.at_once,
        expires=words.expires,
    )
    # apart from the secret, which a script may read from stdout
    print(
        f"key {words.name} is in {words.file}; its secret is shown this once and kept nowhere:",
        file=sys.stderr,
        flush=True,
    )
    return secret


def _list(words: argparse.Namespace) -> str:
    from core.serving.keys import read_keys

    now = datetime.now(UTC)
    rows: list[tuple[object, ...]] = [("NAME", "ROLE", "A MINUTE", "AT ONCE", "CREATED", "EXPIRES", "STATE")]
    for key in read_keys(words.file).keys:
        limits = (key.requests_per_minute or NOTHING, key.requests_at_once or NOTHING)
        state = "expired" if key.expired(now) else "valid"
        rows.append((key.name, key.role, *limits, _time(key.created), _time(key.expires), state))
    return table(rows)


def _revoke(words: argparse.Namespace) -> str:
    from core.serving.keys import revoke_key

    return f"key {revoke_key(words.file, words.name).name} is revoked"


def _parser() -> argparse.ArgumentParser:
    from core.serving.keys import ROLES

    parser = Parser(
        prog="triptych-keys", description="The API keys of a service: serve.keys=FILE.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    def command(name: str, about: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        one.add_argument("file", metavar="FILE", type=Path, help="file of keys")
        return one

    new = command("new", "add a key, make the file where there is none, and print the key's secret once")
    new.add_argument("--name", required=True, help="who uses it; the service's log names it")
    roles = "; ".join(f"{role}: {about}" for role, about in ROLES.items())
    new.add_argument(
        "--role", required=True, choices=tuple(ROLES), help=f"{roles}. Each includes those before it"
    )
    new.add_argument(
        "--per-minute", type=count, help="so many requests in 60 s at most (default: any number)"
    )
    new.add_argument("--at-once", type=count, help="so many requests under way at most (default: any number)")
    new.add_argument(
        "--expires",
        type=_moment,
        help="when it ends: 90d from now, or a date or time such as 2027-06-30 (UTC)",
    )
    new.set_defaults(work=_new)
    command("list", "show the keys, without their secrets").set_defaults(work=_list)
    revoke = command("revoke", "take a key out of the file: services refuse it within a second")
    revoke.add_argument("name", metavar="NAME", help="name of the key")
    revoke.set_defaults(work=_revoke)
    return parser


def _moment(text: str) -> datetime:
    days = _DAYS.fullmatch(text)
    try:
        if days is not None:
            return (datetime.now(UTC) + timedelta(days=int(days[1]))).replace(microsecond=0)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        wanted = "wanted 90d, or a date or time such as 2027-06-30"
        raise argparse.ArgumentTypeError(f"{in_quotes(text)} is no time: {wanted}") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _time(time: datetime | None) -> str:
    return NOTHING if time is None else time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    sys.exit(main())
