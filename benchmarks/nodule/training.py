"""What a training cost, from its run folder: steps, minutes, material, device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from apps.nodule.config import ModelConfig
from apps.nodule.models.compact_detector import load_compact
from benchmarks.nodule.looks import weights_digest


def measure_training(run: Path) -> dict[str, Any]:
    """Return the record of a finished run of stage=train; `data` is its source, mixed or phantoms.

    Minutes are those of the steps alone, as logged; preparing the material, mining and pauses are told apart.
    """
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    made_on = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    events = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    rounds = training_rounds(events)
    minutes = sum(r["minutes"] for r in rounds)
    steps = sum(r["steps"] for r in rounds)
    net = load_compact(ModelConfig(), str(run / "compact.safetensors")).net
    material = next(e for e in events if e["event"] == "training_set")
    trainer = config["trainer"]
    return {
        "headline": {"steps": str(steps), "minutes": f"{minutes:.0f}", "precision": trainer["precision"]},
        "weights": weights_digest(net),
        "parameters": sum(p.numel() for p in net.parameters()),
        "data": config["data"]["source"],
        "lungs": material["items"],
        "nodules": material["count"],
        "phantoms": config["data"]["phantoms"],
        "seed": config["seed"],
        "trainer": {k: trainer[k] for k in ("max_steps", "batch_size", "learning_rate", "precision")},
        "rounds": rounds,
        "steps": steps,
        "minutes": round(minutes, 1),
        "minutes_in_all": round((events[-1]["time"] - events[0]["time"]) / 60, 1),
        "trained_on": made_on["device"],
        "commit": made_on["git"],
    }


def training_rounds(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return steps, minutes and last loss of each round: a round ends where the steps begin anew."""
    rounds: list[dict[str, Any]] = []
    last = 0
    for event in (e for e in events if e["event"] == "train"):
        if not rounds or event["step"] <= last:
            rounds.append({"steps": 0, "minutes": 0.0, "loss": None})
            last = 0
        done = event["step"] - last
        current = rounds[-1]
        current["steps"] += done
        current["minutes"] = round(current["minutes"] + done * event["seconds"] / 60, 3)
        current["loss"] = round(event["loss"], 4)
        last = event["step"]
    return rounds
