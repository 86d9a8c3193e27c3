"""What a training cost, from its run folder: steps, minutes, material, device, and the command that repeats it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from apps.nodule.config import ModelConfig
from apps.nodule.models.compact_detector import load_compact
from benchmarks.nodule.detection_cache import weights_digest
from benchmarks.record import ROOT

EXPERIMENT = ROOT / "conf" / "nodule" / "experiment" / "compact.yaml"
WITHOUT_EFFECT = ("num_workers", "checkpoint_every_steps")  # on the weights


def measure_training(run: Path) -> dict[str, Any]:
    """Return the record of a finished run of stage=train; minutes are those of the steps, over all resumes."""
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    made_on = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    net = load_compact(ModelConfig(), str(run / "compact.safetensors")).net
    rounds = metrics["rounds"]
    minutes = sum(r["seconds"] for r in rounds.values()) / 60
    steps = sum(r["steps"] for r in rounds.values())
    trainer = config["trainer"]
    return {
        "headline": {"steps": str(steps), "minutes": f"{minutes:.0f}", "precision": trainer["precision"]},
        "weights": weights_digest(net),
        "parameters": sum(p.numel() for p in net.parameters()),
        "command": command_of(config),
        "data": config["data"]["source"],
        "phantoms": config["data"]["phantoms"],
        "lungs": metrics["scenes"] - config["data"]["phantoms"],
        "nodules": metrics["specimens"] + metrics["cubes"],
        "seed": config["seed"],
        "trainer": {k: trainer[k] for k in ("max_steps", "batch_size", "learning_rate", "precision")},
        "rounds": rounds,
        "steps": steps,
        "minutes": round(minutes, 1),
        "trained_on": made_on["device"],
        "commit": made_on["git"],
    }


def command_of(config: dict[str, Any], experiment: Path = EXPERIMENT) -> str:
    """Return the command that trains with this config: the experiment, and what the run set otherwise."""
    shipped = yaml.safe_load(experiment.read_text(encoding="utf-8"))
    words = ["triptych-nodule stage=train experiment=compact"]
    if config["data"]["source"] != "mixed":
        words.append(f"data={config['data']['source']}")
    for section in ("data", "trainer"):
        for name, value in shipped[section].items():
            if name not in WITHOUT_EFFECT and config[section][name] != value:
                words.append(f"{section}.{name}={config[section][name]}")
    if config["seed"]:
        words.append(f"seed={config['seed']}")
    return " ".join(words)
