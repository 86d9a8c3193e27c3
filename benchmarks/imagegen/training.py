"""What the training of a pipeline cost, from its run folder: steps, minutes, device, the command that repeats it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from apps.imagegen.models.pipeline_folder import load_pipeline
from benchmarks.record import ROOT
from core.errors import InputError

EXPERIMENT = ROOT / "conf" / "imagegen" / "experiment" / "emoji.yaml"
_SECTION = {"autoencoder": "autoencoder", "denoiser": "trainer"}  # network → its settings


def run(run: str = "") -> dict[str, Any]:
    """Return the record of a finished run of stage=train; minutes are those of the steps, over all resumes."""
    folder = Path(run)
    if not run or not (folder / "metrics.json").is_file():
        raise InputError("run", "add run=DIR, the folder of a finished stage=train")
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    made_on = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    rounds = metrics["rounds"]
    minutes = {name: round(fitted["seconds"] / 60, 1) for name, fitted in rounds.items()}
    samples = {
        name: fitted["steps"] * config[_SECTION[name]]["batch_size"] for name, fitted in rounds.items()
    }
    return {
        "headline": {
            name: f"{fitted['steps']} steps, {minutes[name]:.0f} min, {samples[name]} samples"
            for name, fitted in rounds.items()
        },
        "protocol": "one process, beside other work on the machine; pictures and captions of npm packages",
        "command": command_of(config),
        "model": load_pipeline(folder / "model").digest,
        "bytes": sum(path.stat().st_size for path in (folder / "model").rglob("*") if path.is_file()),
        "minutes": minutes,
        "samples": samples,
        "rounds": rounds,
        "pictures": metrics["pictures"],
        "variants": metrics["variants"],
        "captions": metrics["captions"],
        "trained_on": made_on["device"],
    }


def command_of(config: dict[str, Any], experiment: Path = EXPERIMENT) -> str:
    """Return the command that trains with this config: the experiment, and what the run set otherwise."""
    shipped = yaml.safe_load(experiment.read_text(encoding="utf-8"))
    words = ["triptych-imagegen stage=train experiment=emoji"]
    for section in _SECTION.values():
        for name, value in shipped[section].items():
            if config[section][name] != value:
                words.append(f"{section}.{name}={config[section][name]}")
    return " ".join([*words, *([f"seed={config['seed']}"] if config["seed"] else [])])
