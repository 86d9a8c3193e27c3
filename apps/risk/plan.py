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


@dataclasses.dataclass(frozen=True)
class Plan:
    """What training a riskformer takes, and the command nearest to it; the fields of plan.json.

    context, horizon: steps of each series. batch_size: series a rank. gib_per_rank: part of the memory → GiB of the
    fullest rank, and their "total" at the fullest moment. headroom_gib: what of memory_gib is left. tokens_per_step,
    tflop_per_step: of all ranks. launch: the command; launch_lacks: settings of the plan that stage=train does not
    know; launch_gib_per_rank: as launched, without activations where it does not fit even so.
    """

    size: str
    context: int
    horizon: int
    batch_size: int
    ranks: int
    strategy: str
    precision: str
    optimizer: str
    checkpointing: str
    parameters: int
    gib_per_rank: dict[str, float]
    memory_gib: float
    fits: bool
    headroom_gib: float
    tokens_per_series: int
    tokens_per_step: int
    tflop_per_step: float
    tflop_per_step_with_recomputation: float
    launch: str
    launch_lacks: tuple[str, ...]
    launch_gib_per_rank: float
    launch_fits: bool


def run(cfg: RiskConfig, run: Run) -> int:
    """Predict the memory and work of a step, print them, and write them down.

    Raises as `plan` does.
    """
    planned = plan(cfg)
    text, figures = table(planned), dataclasses.asdict(planned)
    run.write_metrics(figures)
    if cfg.output:
        write_json(Path(cfg.output) / "plan.json", figures)
        write_text(Path(cfg.output) / "plan.txt", text)
    run.log.event("planned", count=planned.parameters, value=planned.gib_per_rank["total"])
    with contextlib.suppress(BrokenPipeError):
        print(text, end="", flush=True)
    return ExitCode.DONE


def plan(cfg: RiskConfig) -> Plan:
    """Predict what a training with these settings takes, without a GPU and without weights.

    Raises InputError for a model without a size, ConfigError for settings that do not fit each other.
    """
    if cfg.model.name not in ("champion", "riskformer"):
        raise INPUTS("plan_model", model=cfg.model.name, sizes=", ".join(SIZES))
    requested = cfg.plan
    spread = Spread(
        requested.strategy, requested.ranks, requested.precision, requested.optimizer, requested.checkpointing
    )
    memory = _memory(cfg, spread)
    tokens, flop = tokens_of(cfg), forward_flop(cfg)
    launch = launch_of(cfg)
    launched = memory if launch.spread == spread else kept_memory(step_of(cfg), launch.spread)
    if launch.spread != spread and launched.total <= requested.memory_gib * GIB:
        launched = _memory(cfg, launch.spread)
    return Plan(
        size=cfg.model.size,
        context=cfg.model.context,
        horizon=cfg.model.horizon,
        batch_size=requested.batch_size,
        ranks=requested.ranks,
        strategy=requested.strategy,
        precision=requested.precision,
        optimizer=requested.optimizer,
        checkpointing=requested.checkpointing,
        parameters=memory.parameters,
        gib_per_rank=_gib(memory),
        memory_gib=requested.memory_gib,
        fits=memory.total <= requested.memory_gib * GIB,
        headroom_gib=round(requested.memory_gib - memory.total / GIB, 6),
        tokens_per_series=tokens,
        tokens_per_step=tokens * requested.batch_size * requested.ranks,
        # a backward pass costs two forward passes
        tflop_per_step=round(3 * flop * requested.ranks / 1e12, 6),
        tflop_per_step_with_recomputation=round(
            (4 if requested.checkpointing == "full" else 3) * flop * requested.ranks / 1e12, 6
        ),
        launch=launch.command,
        launch_lacks=launch.lacks,
        launch_gib_per_rank=round(launched.total / GIB, 6),
        launch_fits=launched.total <= requested.memory_gib * GIB,
    )


def step_of(cfg: RiskConfig) -> Callable[[], Step]:
    """Return what builds riskformer and one step of its training on targets.

    Every series is a group of its own: the number of groups is read out of a tensor, which here has no content;
    larger groups add a mask of a bit a pair of series.
    """

    def make() -> Step:
        size, model, B = SIZES[cfg.model.size], cfg.model, cfg.plan.batch_size
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


def tokens_of(cfg: RiskConfig) -> int:
    """Return the tokens of one series: itself, patches of the past, patches of the horizon."""
    patch = SIZES[cfg.model.size].patch
    return 1 + math.ceil(cfg.model.context / patch) + math.ceil(cfg.model.horizon / patch)


def forward_flop(cfg: RiskConfig) -> int:
    """Return the floating-point operations of matrix products in one rank's forward pass, two a multiplication."""
    counter = FlopCounterMode(display=False)
    with FakeTensorMode(), _plain_attention():
        step = step_of(cfg)()
        with counter:
            step.loss()
    return int(counter.get_total_flops())


def launch_of(cfg: RiskConfig) -> Launch:
    """Return the command nearest to the plan that this version's stage=train can run.

    It trains on generated series (data=mixture), keeps no moving average of the weights, which the plan does not
    count, and leaves the host of a training on several machines to be filled in.
    """
    requested = cfg.plan
    known = {field.name: field.metadata.get("choices", ()) for field in dataclasses.fields(TrainerConfig)}
    options, lacks = {}, []
    for name in PLANNED:
        value = getattr(requested, name)
        if value in known.get(name, (ALWAYS.get(name),)):
            options[name] = value
        else:
            lacks.append(f"{name}={value}")
            options[name] = ALWAYS.get(name, "ddp" if requested.ranks > 1 else "single")
    machines = machines_of(requested.ranks)
    here = requested.ranks // machines
    start = ["torchrun", f"--nproc-per-node={here}"]
    if machines > 1:
        start += [f"--nnodes={machines}", "--rdzv-backend=c10d", "--rdzv-endpoint=HOST:29500"]
    words = [
        "stage=train",
        f"model={cfg.model.size}",
        "data=mixture",
        f"model.context={cfg.model.context}",
        f"model.horizon={cfg.model.horizon}",
        f"trainer.devices={here}",
        f"trainer.batch_size={requested.batch_size}",
        "trainer.ema_decay=0",
        *(f"trainer.{name}={value}" for name, value in options.items() if name in known),
        f"run_dir=runs/risk/train/{_name_of(cfg, options)}",
    ]
    command = shlex.join([*start, "-m", "pipelines.risk", *words])
    return Launch(command, tuple(lacks), Spread(ranks=requested.ranks, **options))


def machines_of(ranks: int) -> int:
    """Return the fewest machines, of GPUS_A_MACHINE at most, that share so many ranks evenly."""
    fewest = math.ceil(ranks / GPUS_A_MACHINE)
    return next(count for count in range(fewest, ranks + 1) if ranks % count == 0)


def _name_of(cfg: RiskConfig, options: dict[str, str]) -> str:
    """Return a folder name with all that decides the weights: a run folder takes one training."""
    model, requested = cfg.model, cfg.plan
    words = [
        model.size,
        f"context-{model.context}",
        f"horizon-{model.horizon}",
        f"batch-{requested.batch_size}",
    ]
    return "_".join([*words, options["precision"], options["strategy"], f"ranks-{requested.ranks}"])


def table(planned: Plan) -> str:
    """Return the plan for a person to read."""
    gib = planned.gib_per_rank
    sure = "it fits" if planned.fits else "it does not fit"
    unit, times = ("GiB", 1) if gib["total"] >= 1.0 else ("MiB", 1024)
    rows = [(words, gib[name]) for name, words in PARTS.items()]
    rows += [("at the fullest moment", gib["total"]), ("memory of a GPU", planned.memory_gib)]
    rows += [(f"left: {sure}", planned.headroom_gib)]
    widest = max(len(words) for words, _ in rows)
    ranks = "1 rank" if planned.ranks == 1 else f"{planned.ranks} ranks"
    lines = [
        f"riskformer {planned.size}: {planned.parameters:,} parameters",
        f"{ranks}, {', '.join(f'{name} {getattr(planned, name)}' for name in PLANNED)}",
        f"{planned.batch_size} series a rank, {planned.context} + {planned.horizon} steps each",
        f"a step, all ranks: {planned.tokens_per_step:,} tokens, {planned.tflop_per_step:,.3f} TFLOP",
        "",
        f"{unit} a rank",
        *(f"  {words:<{widest}}  {value * times:>10,.2f}" for words, value in rows),
        "",
        "Not counted: the CUDA context and gaps between allocations, 1 to 3 GiB; leave room for them.",
        "",
        "To train it:",
        f"  {planned.launch}",
    ]
    if planned.launch_lacks:
        fits = "fits" if planned.launch_fits else "does not fit"
        beside = "" if planned.launch_fits else "at least "
        lines.append(
            f"  This version's stage=train does not know {_listed(planned.launch_lacks)} yet: as launched it takes "
            f"{beside}{planned.launch_gib_per_rank:,.2f} GiB a rank, which {fits}."
        )
    return "\n".join(lines) + "\n"


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _memory(cfg: RiskConfig, spread: Spread) -> StepMemory:
    with _plain_attention():
        return step_memory(step_of(cfg), spread)


def _plain_attention() -> contextlib.AbstractContextManager[Any]:
    """Take the kernel that keeps all scores, the most that any takes: with a mask GPUs may have no better one."""
    return sdpa_kernel(SDPBackend.MATH)


def _gib(memory: StepMemory) -> dict[str, float]:
    return {name: round(getattr(memory, name) / GIB, 6) for name in (*PARTS, "total")}
