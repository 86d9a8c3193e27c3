"""Options and stages: what a person typed is read by the chosen stage, or refused; what suits a stage by default.

Files of groups may set what other stages read, for one file serves several stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.cli.choices import EXPERIMENT, Choices, typed, typed_fields
from core.cli.reasons import CONFIG
from core.settings.schema import stages_by_field


def check_stage(schema: type, stage: str, overrides: Sequence[str], choices: Choices) -> None:
    """Raise ConfigError for an override that the stage does not read; a stage that there is not passes.

    overrides: those of this job, as typed. A group's choice is refused where the stage reads none of the fields that
    its file sets; an experiment where it does not read one of them.
    """
    stages = stages_by_field(schema)
    if stage not in stages["stage"]:
        return
    for key, value in map(typed, overrides):
        if key == EXPERIMENT and isinstance(value, str):
            _check_experiment(stage, value, choices, stages)
        elif key in choices.by_group:
            _check_choice(stage, key, str(value), choices, stages)
        else:
            if isinstance(value, dict) and not value:
                _check_section(stage, key, stages)
            for name in typed_fields(key, value):
                readers = stages.get(name, ())
                if readers and stage not in readers:
                    raise CONFIG("config_stage", stage=stage, name=name, stages=", ".join(readers))


def _check_section(stage: str, section: str, stages: dict[str, tuple[str, ...]]) -> None:
    """Refuse an empty section, `serve={}`, of which the stage reads no field."""
    readers = [those for name, those in stages.items() if name.startswith(f"{section}.") and those]
    if readers and all(stage not in those for those in readers):
        every = dict.fromkeys(one for those in readers for one in those)
        raise CONFIG("config_stage", stage=stage, name=f"{section}={{}}", stages=", ".join(every))


def with_preset(overrides: Sequence[str], schema: Any, choices: Choices) -> list[str]:
    """Return the overrides with those that suit their stage by default, where a person typed no others.

    A schema names an experiment for some stages as `presets`, stage → experiment. What it sets counts less than a
    field, a group or an experiment that was typed; `experiment=null` leaves all of it out.
    """
    given = dict(map(typed, overrides))
    # Hydra's grammar takes no null here
    overrides = [text for text in overrides if typed(text) != (EXPERIMENT, None)]
    name = getattr(schema, "presets", {}).get(given.get("stage"))
    preset = choices.read(EXPERIMENT, name) if name is not None and EXPERIMENT not in given else None
    if preset is None:
        return overrides
    chosen = [
        choices.read(group, str(choice)) for group, choice in given.items() if group in choices.by_group
    ]
    taken = {*given, *(field for choice in chosen if choice is not None for field in choice.fields)}
    settings = {**preset.groups, **preset.fields}
    return [*overrides, *(f"{name}={value}" for name, value in settings.items() if name not in taken)]


def _check_experiment(
    stage: str, experiment: str, choices: Choices, stages: dict[str, tuple[str, ...]]
) -> None:
    choice = choices.read(EXPERIMENT, experiment)
    if choice is None:
        return
    for name in choice.fields:
        readers = stages.get(name, ())
        if readers and stage not in readers:
            raise CONFIG(
                "config_stage_experiment",
                stage=stage,
                name=name,
                experiment=experiment,
                stages=", ".join(readers),
            )
    for group, other in choice.groups.items():
        _check_choice(stage, group, other, choices, stages)


def _check_choice(
    stage: str, group: str, name: str, choices: Choices, stages: dict[str, tuple[str, ...]]
) -> None:
    choice = choices.read(group, name)
    if choice is None:
        return
    readers = [stages[field] for field in choice.fields if stages.get(field)]
    if readers and all(stage not in some for some in readers):
        every = dict.fromkeys(stage for some in readers for stage in some)
        raise CONFIG("config_stage", stage=stage, name=f"{group}={name}", stages=", ".join(every))
