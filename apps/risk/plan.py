"""stage=plan: what training a riskformer takes of each GPU, without one, and the command that would train it.

This is the one stage whose result is for the terminal: the table goes to stdout. The same figures go to the run's
metrics.json, and where output= is given to output/plan.json and output/plan.txt.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from apps.risk.config import RiskConfig
from apps.risk.models.losses import quantile_loss
from apps.risk.models.sizes import SIZES
from apps.risk.models.transformer import RiskFormer, target_rows
from apps.risk.reasons import INPUTS
from core.errors import ExitCode
from core.runs.files import write_json, write_text
from core.runs.folder import Run
from core.training.config import TrainerConfig
from core.training.memory import GIB, Spread, Step, StepMemory, kept_memory, step_memory

GPUS_A_MACHINE = 8
PLANNED = ("strategy", "precision", "optimizer", "checkpointing")
# What stage=train does where its settings (core/training/config.py) do not name it.
ALWAYS = {"optimizer": "adamw", "checkpointing": "none"}
PARTS = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "moments of the optimizer",
    "gathered": "whole weights and gradients of blocks at work",
    "activations": "activations",
    "update": "the optimizer's step, after the two above have gone",
}


class Launch(NamedTuple):
    """A command that trains, and what of the plan it cannot do yet. spread: how it would train."""

    command: str
    lacks: tuple[str, ...]
    spread: Spread


def run(config: RiskConfig, run: Run) -> int:
    """Foretell the step, show it, and write it down. Raises InputError for a model without a size."""
    if config.model.name not in ("champion", "riskformer"):
        raise INPUTS("plan_model", model=config.model.name, sizes=", ".join(SIZES))
    figures = plan(config)
    text = table(figures)
    run.write_metrics(figures)
    if config.output:
        write_json(Path(config.output) / "plan.json", figures)
        write_text(Path(config.output) / "plan.txt", text)
    run.log.event("planned", count=figures["parameters"], value=figures["gib_per_rank"]["total"])
    with contextlib.suppress(BrokenPipeError):
        print(text, end="", flush=True)
    return ExitCode.DONE


def plan(config: RiskConfig) -> dict[str, Any]:
    """Return all figures as plain JSON types. GiB are those of the fullest rank.

    launch_gib_per_rank: without activations where it does not fit even so.
    """
    wish = config.plan
    spread = Spread(wish.strategy, wish.ranks, wish.precision, wish.optimizer, wish.checkpointing)
    memory = _memory(config, spread)
    tokens, flop = tokens_of(config), forward_flop(config)
    launch = launch_of(config)
    launched = memory if launch.spread == spread else kept_memory(step_of(config), launch.spread)
    if launch.spread != spread and launched.total <= wish.memory_gib * GIB:
        launched = _memory(config, launch.spread)
    return {
        "size": config.model.size,
        "context": config.model.context,
        "horizon": config.model.horizon,
        "batch_size": wish.batch_size,
        "ranks": wish.ranks,
        **{name: getattr(wish, name) for name in PLANNED},
        "parameters": memory.parameters,
        "gib_per_rank": _gib(memory),
        "memory_gib": wish.memory_gib,
        "fits": memory.total <= wish.memory_gib * GIB,
        "headroom_gib": round(wish.memory_gib - memory.total / GIB, 6),
        "tokens_per_series": tokens,
        "tokens_per_step": tokens * wish.batch_size * wish.ranks,
        # a backward pass costs two forward passes
        "tflop_per_step": round(3 * flop * wish.ranks / 1e12, 6),
        "tflop_per_step_with_recomputation": round(
            (4 if wish.checkpointing == "full" else 3) * flop * wish.ranks / 1e12, 6
        ),
        "launch": launch.command,
        "launch_lacks": list(launch.lacks),
        "launch_gib_per_rank": round(launched.total / GIB, 6),
        "launch_fits": launched.total <= wish.memory_gib * GIB,
    }


def step_of(config: RiskConfig) -> Callable[[], Step]:
    """Return what builds riskformer and one step of its training on targets.

    Every series is a group of its own: the number of groups is read out of a tensor, which here has no content;
    larger groups add a mask of a bit a pair of series.
    """

    def make() -> Step:
        size, model, B = SIZES[config.model.size], config.model, config.plan.batch_size
        net = RiskFormer(size)
        past_BC = torch.zeros(B, model.context)
        rows = target_rows(past_BC, torch.ones_like(past_BC, dtype=torch.bool), model.horizon, None)
        future_BKH = torch.zeros(B, 1, model.horizon)
        level_Q = torch.zeros(len(net.levels))

        def loss() -> torch.Tensor:
            counts_BKH = torch.ones_like(future_BKH, dtype=torch.bool)
            return quantile_loss(net(rows).z_BHQ.float(), future_BKH, counts_BKH, level_Q)

        return Step(net, list(net.layers), loss)

    return make


def tokens_of(config: RiskConfig) -> int:
    """Return the tokens of one series: itself, patches of the past, patches of the horizon."""
    patch = SIZES[config.model.size].patch
    return 1 + math.ceil(config.model.context / patch) + math.ceil(config.model.horizon / patch)


def forward_flop(config: RiskConfig) -> int:
    """Return the floating-point operations of matrix products in one rank's forward pass, two a multiplication."""
    counter = FlopCounterMode(display=False)
    with FakeTensorMode(), _plain_attention():
        step = step_of(config)()
        with counter:
            step.loss()
    return int(counter.get_total_flops())


def launch_of(config: RiskConfig) -> Launch:
    """Return the command nearest to the plan that this version's stage=train can run.

    It trains on generated series (data=mixture), keeps no moving average of the weights, which the plan does not
    count, and leaves the host of a training on several machines to be filled in.
    """
    wish = config.plan
    known = {field.name: field.metadata.get("choices", ()) for field in dataclasses.fields(TrainerConfig)}
    found, lacks = {}, []
    for name in PLANNED:
        value = getattr(wish, name)
        if value in known.get(name, (ALWAYS.get(name),)):
            found[name] = value
        else:
            lacks.append(f"{name}={value}")
            found[name] = ALWAYS.get(name, "ddp" if wish.ranks > 1 else "single")
    machines = machines_of(wish.ranks)
    here = wish.ranks // machines
    start = ["torchrun", f"--nproc-per-node={here}"]
    if machines > 1:
        start += [f"--nnodes={machines}", "--rdzv-backend=c10d", "--rdzv-endpoint=HOST:29500"]
    words = [
        "stage=train",
        f"model={config.model.size}",
        "data=mixture",
        f"model.context={config.model.context}",
        f"model.horizon={config.model.horizon}",
        f"trainer.devices={here}",
        f"trainer.batch_size={wish.batch_size}",
        "trainer.ema_decay=0",
        *(f"trainer.{name}={value}" for name, value in found.items() if name in known),
        f"run_dir=runs/risk/train/{_name_of(config, found)}",
    ]
    command = shlex.join([*start, "-m", "pipelines.risk", *words])
    return Launch(command, tuple(lacks), Spread(ranks=wish.ranks, **found))


def machines_of(ranks: int) -> int:
    """Return the fewest machines, of GPUS_A_MACHINE at most, that share so many ranks evenly."""
    fewest = math.ceil(ranks / GPUS_A_MACHINE)
    return next(count for count in range(fewest, ranks + 1) if ranks % count == 0)


def _name_of(config: RiskConfig, found: dict[str, str]) -> str:
    """Return a folder name with all that decides the weights: a run folder takes one training."""
    model, wish = config.model, config.plan
    words = [model.size, f"context-{model.context}", f"horizon-{model.horizon}", f"batch-{wish.batch_size}"]
    return "_".join([*words, found["precision"], found["strategy"], f"ranks-{wish.ranks}"])


def table(figures: dict[str, Any]) -> str:
    """Return the figures for a person to read."""
    gib = figures["gib_per_rank"]
    sure = "it fits" if figures["fits"] else "it does not fit"
    unit, times = ("GiB", 1) if gib["total"] >= 1.0 else ("MiB", 1024)
    rows = [(words, gib[name]) for name, words in PARTS.items()]
    rows += [("at the fullest moment", gib["total"]), ("memory of a GPU", figures["memory_gib"])]
    rows += [(f"left: {sure}", figures["headroom_gib"])]
    widest = max(len(words) for words, _ in rows)
    ranks = "1 rank" if figures["ranks"] == 1 else f"{figures['ranks']} ranks"
    lines = [
        f"riskformer {figures['size']}: {figures['parameters']:,} parameters",
        f"{ranks}, {', '.join(f'{name} {figures[name]}' for name in PLANNED)}",
        f"{figures['batch_size']} series a rank, {figures['context']} + {figures['horizon']} steps each",
        f"a step, all ranks: {figures['tokens_per_step']:,} tokens, {figures['tflop_per_step']:,.3f} TFLOP",
        "",
        f"{unit} a rank",
        *(f"  {words:<{widest}}  {value * times:>10,.2f}" for words, value in rows),
        "",
        "Not counted: the CUDA context and gaps between allocations, 1 to 3 GiB; leave room for them.",
        "",
        "To train it:",
        f"  {figures['launch']}",
    ]
    if figures["launch_lacks"]:
        fits = "fits" if figures["launch_fits"] else "does not fit"
        beside = "" if figures["launch_fits"] else "at least "
        lines.append(
            f"  This version's stage=train does not know {_listed(figures['launch_lacks'])} yet: as launched it takes "
            f"{beside}{figures['launch_gib_per_rank']:,.2f} GiB a rank, which {fits}."
        )
    return "\n".join(lines) + "\n"


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _memory(config: RiskConfig, spread: Spread) -> StepMemory:
    with _plain_attention():
        return step_memory(step_of(config), spread)


def _plain_attention() -> contextlib.AbstractContextManager[Any]:
    """Take the kernel that keeps all scores, the most that any takes: with a mask GPUs may have no better one."""
    return sdpa_kernel(SDPBackend.MATH)


def _gib(memory: StepMemory) -> dict[str, float]:
    return {name: round(getattr(memory, name) / GIB, 6) for name in (*PARTS, "total")}
