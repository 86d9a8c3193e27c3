"""What the training of riskformer cost, from its run folder: steps, minutes, device, the command that repeats it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from apps.risk.models.risk_model import RiskModel
from apps.risk.models.riskformer import RiskformerTargets
from benchmarks.record import ROOT
from core.errors import InputError

EXPERIMENT = ROOT / "conf" / "risk" / "experiment" / "series.yaml"


def run(run: str = "") -> dict[str, Any]:
    """Return the record of a finished run of stage=train; minutes are those of the steps, over all resumes."""
    folder = Path(run)
    if not (folder / "metrics.json").is_file():
        raise InputError("run", "add run=DIR, the folder of a finished stage=train")
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["targets"]
    made_on = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    model = RiskModel.from_pretrained(folder / "model")
    if not isinstance(model.targets, RiskformerTargets):
        raise InputError("run", f"{folder.name} holds no riskformer of targets")
    rounds = metrics["rounds"]
    minutes = sum(part["seconds"] for part in rounds.values()) / 60
    return {
        "headline": {
            "steps": str(sum(part["steps"] for part in rounds.values())),
            "minutes": f"{minutes:.1f}",
            "batch": str(config["trainer"]["batch_size"]),
        },
        "protocol": "one process with one thread, beside other work on the machine; generated and real series",
        "digest": model.digest,
        "parameters": sum(p.numel() for p in model.targets.net.parameters()),
        "bytes": sum(path.stat().st_size for path in (folder / "model").rglob("*") if path.is_file()),
        "command": command_of(config),
        "missing": metrics["missing"],
        "until": metrics["until"],
        "rounds": rounds,
        "minutes": round(minutes, 1),
        "trained_on": made_on["device"],
    }


def command_of(config: dict[str, Any], experiment: Path = EXPERIMENT) -> str:
    """Return the command that trains with this config: the experiment, and what the run set otherwise."""
    shipped = yaml.safe_load(experiment.read_text(encoding="utf-8"))
    words = ["triptych-risk stage=train experiment=series"]
    for name, value in shipped["trainer"].items():
        if config["trainer"][name] != value:
            words.append(f"trainer.{name}={config['trainer'][name]}")
    return " ".join([*words, *([f"seed={config['seed']}"] if config["seed"] else [])])
