"""Why a command line or a configuration is refused: codes with their sentences."""

from __future__ import annotations

from core.errors import ConfigError, InputError
from core.reasons import Reasons

CONFIG = Reasons(
    ConfigError,
    "a command line or a configuration",
    {
        "subcommand_option": "{message}; `{command} --help` shows what there is",
        "config_option": "unknown option {option}; did you mean {nearest}?",
        "config_folder": "{option} needs a folder with config groups of your own",
        "config_show": "{option} takes job: it shows the composed config",
        "config_environment": (
            "${{oc.env:{name}}} would record the value of a variable of the environment: write the value itself; "
            "passwords of databases are read from $PGPASSWORD, ~/.pgpass or a service file without being named"
        ),
        "config_missing": "{name} is missing ({about}): add {name}=…, {wanted}",
        "config_needed": "stage={stage} needs {name} ({about}): add {name}=…",
        "config_stage": "stage={stage} does not read {name} (read by: {stages})",
        "config_stage_experiment": (
            "stage={stage} does not read {name}, which experiment={experiment} sets (read by: {stages})"
        ),
        "config_alone": "{name} does nothing without {needed}: add it, or leave {name} out",
        "config_package": "{name} cannot be read: a choice is made by the name of its group, {group}=NAME",
        "config_encoding": "{name} holds a byte that is not UTF-8: only a path may",
        "config_field": 'unknown field "{name}"; did you mean "{nearest}"?',
        "config_group": 'unknown choice "{group}={choice}"{hint}(choices: {choices})',
        "config_group_name": "{group} takes the name of one choice: {choices}",
        "config_grammar": "cannot read {typed}: write FIELD=VALUE",
        "config_type": "{name} wants a {wanted},{given} here: {allowed}",
        "config_section": "{name} is a section: set its fields, {name}.NAME=VALUE",
        "config_several": "{override} gives several values: add -m to run each of them",
        "config_sweep": "{override} cannot be swept: write its values one by one, with commas",
        "config_jobs": "the sweep has more than {most} jobs: sweep fewer values at once",
        "config_hydra": "{name} would change nothing here: the run's folder is named by run_dir=…",
        "config_twice": "{name}= is given more than once: leave all but one of them out",
        "config_delete": "{override} removes a field, and every field is needed: write FIELD=VALUE",
        "config_other": "{where}{message}",
    },
)

START = Reasons(
    InputError,
    "a stage, before it begins",
    {
        "path_missing": "{name}={value} cannot be read: {reason}",
        "stage_package": "stage={stage} needs the package {package}: pip install 'triptych[{extra}]'",
        "stage_package_unknown": "stage={stage} needs the package {package}, which is not installed",
    },
)
