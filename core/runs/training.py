"""What a training was begun with, kept beside its checkpoints: under other settings nothing is resumed.

run_dir/checkpoints/
├── settings.json   the stage, every setting that decides the weights, the digests of what is read, how long it trains
└── …               checkpoints, a folder for each part of the training (core/training/fit.py)
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from core.errors import ConfigError
from core.runs.files import write_json
from core.runs.folder import SETTINGS, Run, held_training
from core.runs.reasons import RUN_FOLDER
from core.settings.schema import value_at, walk

# they do not decide the weights
FREE = ("max_minutes", "num_workers", "log_every_steps", "checkpoint_every_steps")
GROWING = "max_steps"  # a training may be continued for longer
_SHOWN = 12


class Source(NamedTuple):
    """What is read: how the option names it, and the digest of its content, which alone is compared."""

    value: Any
    digest: str


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """A folder for the checkpoints of one part of a training.

    mark: digest of the settings that they belong to. after: digest of the weights of an earlier part from which this
    one begins. say: shows a line. on_train: called before steps are trained, and not where all are done already.
    """

    path: Path
    mark: str = ""
    after: str = ""
    say: Callable[[str], None] = lambda _: None
    on_train: Callable[[], None] = lambda: None

    def __truediv__(self, name: str) -> Checkpoints:
        return dataclasses.replace(self, path=self.path / name, mark=_digest([self.mark, name]))

    @property
    def identity(self) -> str:
        """Digest of the settings and of the earlier weights: what a checkpoint belongs to."""
        return _digest([self.mark, self.after])

    def begun_from(self, digest: str) -> Checkpoints:
        """Return the folder of a part that begins from an earlier one: with other weights of that it begins anew."""
        return dataclasses.replace(self, after=digest)


class Training:
    """The settings of a training, compared with those that its run folder was begun with.

    parts: fields and sections of `config` that decide the weights. but: fields below them that do not, or that are
    compared as sources. Raises ConfigError, naming the field, where the folder was begun with other settings, or is
    to train fewer steps.
    """

    def __init__(self, run: Run, config: Any, parts: Sequence[str], but: Sequence[str] = ()) -> None:
        self._run = run
        # torchrun may start more processes than this machine has; each draws samples of its own
        processes = max(int(os.environ.get("WORLD_SIZE", "1")), config.trainer.devices)
        settings = {**deciding(config, parts, but), "processes": processes}
        self._new = {
            "stage": config.stage,
            "settings": {name: value for name, value in settings.items() if not _grows(name)},
            "steps": {name: value for name, value in settings.items() if _grows(name)},
        }
        self._old = held_training(run.path)
        if self._old is not None:
            self._compare_settings(self._old)

    def begin(self, sources: Mapping[str, Source]) -> Checkpoints:
        """Compare what is read, record what a new training begins with, and return where its checkpoints lie.

        sources: by option. Raises ConfigError where the folder was begun with other content.
        """
        self._new["sources"] = {name: source._asdict() for name, source in sources.items()}
        if self._old is None:
            self._write()
        else:
            self._compare_sources(self._old)
        digests = {name: source.digest for name, source in sources.items()}
        mark = _digest([self._new["settings"], digests])
        return Checkpoints(self._run.path / "checkpoints", mark, say=self._run.say, on_train=self._train)

    def _train(self) -> None:
        """Record the run that trains now, and the steps it trains to."""
        if self._old is not None:
            grown = [
                f"{name} {_shown(self._old['steps'], name)} → {n}" for name, n in self._new["steps"].items()
            ]
            if self._old["steps"] != self._new["steps"]:
                self._run.say(f"{self._run.path} trains on: {', '.join(grown)}")
            self._write()
            self._old = self._new
        self._run.record()

    def _write(self) -> None:
        if self._run.rank == 0:
            write_json(self._run.path / SETTINGS, self._new)

    def _compare_settings(self, old: Mapping[str, Any]) -> None:
        held, now = old["settings"], self._new["settings"]
        for name in [*now, *(name for name in held if name not in now)]:
            if name not in held or name not in now or held[name] != now[name]:
                raise self._refusal(name, _shown(held, name), _shown(now, name))
        for name, steps in self._new["steps"].items():
            if not isinstance(before := _shown(old["steps"], name), int) or steps < before:
                raise self._refusal(name, before, steps)

    def _compare_sources(self, old: Mapping[str, Any]) -> None:
        now = self._new["sources"]
        for name in [*now, *(name for name in old["sources"] if name not in now)]:
            before, new = (
                kept.get(name) or {"value": "unset", "digest": ""} for kept in (old["sources"], now)
            )
            if before["digest"] != new["digest"]:
                was, became = (f"{one['value']} (content {one['digest'][:_SHOWN]})" for one in (before, new))
                raise self._refusal(name, was, became)

    def _refusal(self, name: str, before: Any, now: Any) -> ConfigError:
        values = {"before": _word(before), "now": _word(now)}
        return RUN_FOLDER("run_dir_settings", folder=self._run.path, name=name, **values)


def deciding(config: Any, parts: Sequence[str], but: Sequence[str] = ()) -> dict[str, Any]:
    """Return the leaves of a config below `parts` by full path, without those in `but` and a trainer's FREE ones."""
    values = {}
    for path, field in walk(config):
        below = any(path == part or path.startswith(f"{part}.") for part in parts)
        if below and path not in but and field.name not in FREE:
            values[path] = value_at(config, path)
    return values


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _grows(path: str) -> bool:
    return path.rpartition(".")[2] == GROWING


def _shown(settings: Mapping[str, Any], name: str) -> Any:
    return settings.get(name, "unset")


def _word(value: Any) -> str:
    return "null" if value is None else str(value)
