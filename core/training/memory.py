"""Memory of a training step on each rank, predicted without a GPU: no tensor is ever filled.

Weights, gradients and optimizer follow from the weights' shapes; activations are measured by running the step on
tensors without content (FakeTensorMode) and following which of them live at one time. Each part is given at its own
largest, so their sum bounds the memory that tensors take from above. Not in it: the CUDA context and libraries, gaps
between blocks of the allocator (1 to 3 GiB by experience), and a moving average of the weights.

Legend: P trained numbers, R ranks, w, g, m bytes of a number in weights, gradients and each of AdamW's two moments.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.checkpoint import checkpoint

from core.training.live_memory import LiveMemory
from core.training.reasons import TRAINING

GIB = 2**30


class Words(NamedTuple):
    """Bytes of one number: in weights, gradients, each moment. at_once: gradients are used up as they appear."""

    weight: int
    gradient: int
    moment: int
    at_once: bool


# Loshchilov & Hutter 2019, arXiv:1711.05101: two moments a weight; in fp32 with gradients 16 bytes a weight in all
# (Rajbhandari et al. 2020, doi:10.1109/SC41405.2020.00024, section 3.1).
OPTIMIZERS = {
    "adamw": Words(4, 4, 4, at_once=False),
    "adamw_bf16": Words(2, 2, 2, at_once=False),
    "adamw_bf16_in_backward": Words(2, 2, 2, at_once=True),
}


@dataclass(frozen=True)
class Spread:
    """How a step is spread over ranks and computed.

    strategy: single, ddp (each rank holds all) or fsdp (FSDP2: each holds 1/R of weights, gradients and moments).
    precision: fp32, or bf16 by autocast. checkpointing: full keeps the input of each block alone and computes the
    block again (Chen et al. 2016, arXiv:1604.06174). Raises ConfigError for what does not go together.
    """

    strategy: str = "single"
    ranks: int = 1
    precision: str = "bf16"
    optimizer: str = "adamw"
    checkpointing: str = "none"

    def __post_init__(self) -> None:
        if self.strategy == "single" and self.ranks > 1:
            raise TRAINING("ranks_single", ranks=self.ranks)
        if self.precision == "fp32" and OPTIMIZERS[self.optimizer].weight < 4:
            raise TRAINING("optimizer_precision", optimizer=self.optimizer)


class Step(NamedTuple):
    """A training step. blocks: parts of the module that are spread and checkpointed one by one, none within another.

    loss: runs the forward pass on a batch of its own making and returns a scalar; called under autocast.
    """

    module: nn.Module
    blocks: Sequence[nn.Module]
    loss: Callable[[], Tensor]


@dataclass(frozen=True)
class StepMemory:
    """Bytes on the fullest rank, each part at its largest. parameters: numbers in the module, on all ranks together.

    gradients: as they wait for the optimizer, and the buckets that ddp sums them in. gathered: whole weights and
    gradients of fsdp. activations: all that lives during forward and backward pass beside weights and gradients.
    update: taken by the optimizer's step, when gathered and activations are gone.
    """

    parameters: int
    weights: int
    gradients: int
    optimizer: int
    gathered: int
    activations: int
    update: int

    @property
    def total(self) -> int:
        """Return the bytes at the fullest moment."""
        passing = max(self.gathered + self.activations, self.update)
        return self.weights + self.gradients + self.optimizer + passing


def step_memory(make: Callable[[], Step], spread: Spread) -> StepMemory:
    """Predict the memory of a step. make: builds it, on the CPU, called once under FakeTensorMode.

    A step that reads numbers out of its tensors (`.item()`) cannot be predicted and raises torch's own error.
    """
    with FakeTensorMode():
        step = make()
        return replace(_kept(step, spread), activations=_activations(step, spread))


def kept_memory(make: Callable[[], Step], spread: Spread) -> StepMemory:
    """Return what follows from the weights alone, in no time; activations are 0."""
    with FakeTensorMode():
        return _kept(make(), spread)


def _kept(step: Step, spread: Spread) -> StepMemory:
    words = OPTIMIZERS[spread.optimizer]
    units = _units(step)
    ranks = spread.ranks if spread.strategy == "fsdp" else 1
    share = sum(shard_numel(p.shape, ranks) for unit in units for p in unit if p.requires_grad)
    frozen = sum(shard_numel(p.shape, ranks) for unit in units for p in unit if not p.requires_grad)
    moments = 2 * share * words.moment
    return StepMemory(
        parameters=sum(p.numel() for unit in units for p in unit),
        weights=(share + frozen) * words.weight + sum(b.nbytes for b in step.module.buffers()),
        gradients=_gradients(units, spread) * words.gradient,
        optimizer=moments,
        gathered=_gathered(units, spread),
        activations=0,
        # torch.optim.adam, _multi_tensor_adam: the square roots of all second moments at one time
        update=0 if words.at_once else moments // 2,
    )


def shard_numel(shape: Sequence[int], ranks: int) -> int:
    """Return how many numbers of a tensor a rank holds: FSDP2 cuts the first axis and fills the last shard up."""
    if not shape:
        return 1
    return math.ceil(shape[0] / ranks) * math.prod(shape[1:])


def _units(step: Step) -> list[list[nn.Parameter]]:
    """Return the weights of each block, and last those of no block; a shared one belongs to its first owner."""
    seen: set[nn.Parameter] = set()
    units = []
    for part in (*step.blocks, step.module):
        units.append([p for p in part.parameters() if p not in seen])
        seen.update(units[-1])
    return units


def _gradients(units: list[list[nn.Parameter]], spread: Spread) -> int:
    """Return the numbers in gradients; those used up as they appear wait one weight, or one block of fsdp, long.

    ddp: buckets as large as all gradients (torch.nn.parallel.DistributedDataParallel, gradient_as_bucket_view).
    """
    ranks = spread.ranks if spread.strategy == "fsdp" else 1
    share = [[shard_numel(p.shape, ranks) for p in unit if p.requires_grad] for unit in units]
    buckets = sum(map(sum, share)) if spread.strategy == "ddp" else 0
    if not OPTIMIZERS[spread.optimizer].at_once:
        return buckets + sum(map(sum, share))
    if spread.strategy == "fsdp":
        return max(map(sum, share))
    return buckets + max((size for unit in share for size in unit), default=0)


def _gathered(units: list[list[nn.Parameter]], spread: Spread) -> int:
    """Return the bytes of whole weights and gradients, by torch.distributed.fsdp.fully_shard's default settings.

    Weights of no block stay gathered until the end, and so do their gradients. Of one block weights and gradients
    are whole; the next block's weights are fetched meanwhile, and the gradients copied to be summed, in the
    precision in which they are kept.
    """
    if spread.strategy != "fsdp":
        return 0
    compute = 2 if spread.precision == "bf16" else 4
    whole = [sum(p.numel() for p in unit) for unit in units]
    trained = [sum(p.numel() for p in unit if p.requires_grad) for unit in units]
    fetched = sum(sorted(whole[:-1])[-2:])
    kept = OPTIMIZERS[spread.optimizer].gradient
    return compute * (fetched + whole[-1] + trained[-1]) + max(trained) * (compute + kept)


def _activations(step: Step, spread: Spread) -> int:
    """Run the step once on empty tensors and return the most bytes that lived at one time."""
    if spread.precision == "bf16" and (spread.strategy == "fsdp" or OPTIMIZERS[spread.optimizer].weight == 2):
        _halve(step.module)
    if spread.checkpointing == "full":
        for block in step.blocks:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False)
    live = LiveMemory([*step.module.parameters(), *step.module.buffers()])
    for weight in step.module.parameters():
        if weight.requires_grad:
            weight.register_post_accumulate_grad_hook(live.forget)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=spread.precision == "bf16")
    with live, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on speed: nothing is computed here
        with autocast:
            loss = step.loss()
        loss.backward()
    return live.peak()


def _halve(module: nn.Module) -> None:
    """Replace the weights by bf16 ones; Module.to cannot change tensors without content."""
    made: dict[nn.Parameter, nn.Parameter] = {}
    for part in module.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            if weight not in made:
                made[weight] = nn.Parameter(weight.detach().to(torch.bfloat16), weight.requires_grad)
            setattr(part, name, made[weight])
