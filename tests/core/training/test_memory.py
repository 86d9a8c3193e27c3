"""A predicted step against real tensors, counts by hand, and torch's own trackers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
from torch.distributed._tools.mem_tracker import MemTracker
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils.checkpoint import checkpoint

from core.errors import ConfigError
from core.training.memory import OPTIMIZERS, Spread, Step, StepMemory, kept_memory, shard_numel, step_memory

WIDTH, ROWS, RANKS = 48, 20, 5  # 48 is not a multiple of 5: the last shard is filled up
WORD = 4 * ROWS * WIDTH  # bytes of an activation in fp32


def network(blocks: int = 4, layers: int = 2) -> nn.Sequential:
    parts: list[nn.Module] = [
        nn.Sequential(*[nn.Sequential(nn.Linear(WIDTH, WIDTH, bias=False), nn.ReLU()) for _ in range(layers)])
        for _ in range(blocks)
    ]
    return nn.Sequential(*parts, nn.Linear(WIDTH, 7))


def make(build: Callable[[], nn.Sequential] = network, rows: int = ROWS) -> Callable[[], Step]:
    def made() -> Step:
        net = build()
        return Step(net, list(net.children())[:-1], lambda: net(torch.zeros(rows, WIDTH)).float().sum())

    return made


def plan(build: Callable[[], nn.Sequential] = network, rows: int = ROWS, **words: object) -> StepMemory:
    return step_memory(make(build, rows), Spread(**{"precision": "fp32", **words}))  # type: ignore[arg-type]


@pytest.fixture
def mesh() -> Iterator[DeviceMesh]:
    """Five ranks of which only the first is there."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=RANKS)
    try:
        yield init_device_mesh("cpu", (RANKS,))
    finally:
        dist.destroy_process_group()


def local_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of what this rank holds; gradients of one block share a storage under FSDP."""
    storages = [getattr(x, "_local_tensor", x).untyped_storage() for x in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def real_bytes(net: nn.Module) -> tuple[int, int, int]:
    """Train one real step, and return the bytes of weights, gradients and moments."""
    optimizer = torch.optim.AdamW(net.parameters(), foreach=False)
    net(torch.ones(ROWS, WIDTH)).sum().backward()
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    assert len(gradients) == len(list(net.parameters())) == 10
    optimizer.step()
    moments = [x for state in optimizer.state.values() for name, x in state.items() if name != "step"]
    assert len(moments) == 20
    return local_bytes(net.parameters()), local_bytes(gradients), local_bytes(moments)


def test_a_single_rank_holds_what_real_tensors_take() -> None:
    memory = plan()
    assert (memory.weights, memory.gradients, memory.optimizer) == real_bytes(network())
    assert memory.parameters == 8 * WIDTH**2 + 7 * WIDTH + 7
    assert memory.weights == 4 * memory.parameters
    assert memory.gathered == 0
    # the square roots of the second moments, one a weight
    assert memory.update == memory.weights


def test_a_shard_holds_what_real_tensors_of_fsdp_take(mesh: DeviceMesh) -> None:
    net = network()
    for block in list(net.children())[:-1]:
        fully_shard(block, mesh=mesh)
    fully_shard(net, mesh=mesh)
    memory = plan(strategy="fsdp", ranks=RANKS)
    assert (memory.weights, memory.gradients, memory.optimizer) == real_bytes(net)
    assert memory.weights == 4 * (8 * 10 * WIDTH + 2 * WIDTH + 2)  # ⌈48 / 5⌉ = 10 rows, ⌈7 / 5⌉ = 2
    assert memory.parameters == plan().parameters


@pytest.mark.parametrize(
    ("shape", "ranks", "held"), [((8, 3), 4, 6), ((9, 3), 4, 9), ((2, 3), 8, 3), ((5,), 1, 5), ((), 4, 1)]
)
def test_the_first_axis_is_cut_and_filled_up(shape: tuple[int, ...], ranks: int, held: int) -> None:
    assert shard_numel(shape, ranks) == held


def test_bytes_of_a_weight_by_optimizer() -> None:
    count = plan().parameters
    largest = WIDTH * WIDTH
    for name, (kept, gradients) in {
        "adamw": (12, 4 * count),  # with gradients 16, as Rajbhandari et al. 2020 count
        "adamw_bf16": (6, 2 * count),
        "adamw_bf16_in_backward": (6, 2 * largest),
    }.items():
        memory = plan(precision="bf16", optimizer=name)
        assert memory.weights + memory.optimizer == kept * count
        assert memory.gradients == gradients
        assert memory.update == (0 if name.endswith("in_backward") else memory.optimizer // 2)
    assert len(OPTIMIZERS) == 3


def test_ddp_holds_all_and_gradients_twice() -> None:
    alone, ddp = plan(), plan(strategy="ddp", ranks=RANKS)
    assert ddp.gradients == 2 * alone.gradients
    assert (ddp.weights, ddp.optimizer, ddp.activations) == (
        alone.weights,
        alone.optimizer,
        alone.activations,
    )


def test_activations_by_hand() -> None:
    """Each of 8 linear layers keeps its input, each ReLU its output, which is the next one's input.

    When the backward pass comes to the last ReLU there live the 8 outputs, the first input, the gradient that the
    head gave back and the one that the ReLU makes, and the loss: 4 bytes, and 4 of its own gradient of 1.
    """
    assert plan().activations == (8 + 1 + 1 + 1) * WORD + 8


def test_checkpointing_keeps_a_tensor_a_block() -> None:
    """A block more costs its input with full checkpointing, and its three outputs without."""
    sizes = {
        how: [plan(partial(network, blocks, 3), checkpointing=how).activations for blocks in (4, 7)]
        for how in ("full", "none")
    }
    assert sizes["full"][1] - sizes["full"][0] == 3 * WORD
    assert sizes["none"][1] - sizes["none"][0] == 3 * 3 * WORD
    assert sizes["full"][0] < sizes["none"][0]


def test_half_precision_halves_what_lives() -> None:
    wide = partial(network, 6, 3)
    full, half = plan(wide, 400), plan(wide, 400, precision="bf16", optimizer="adamw_bf16")
    assert 0.5 <= half.activations / full.activations < 0.6


def test_autocast_keeps_a_second_copy_of_fp32_weights() -> None:
    kept, cast = (
        plan(rows=1, precision="bf16", optimizer=name).activations for name in ("adamw_bf16", "adamw")
    )
    # the head's gradient reaches the copies of its weights before they go
    assert cast - kept >= 2 * 8 * WIDTH**2


@pytest.mark.parametrize("checkpointing", ["none", "full"])
def test_the_total_bounds_what_torchs_tracker_sees(checkpointing: str) -> None:
    wide, rows = partial(network, 6, 3), 200
    memory = plan(wide, rows, checkpointing=checkpointing)
    with FakeTensorMode():
        step = make(wide, rows)()
        if checkpointing == "full":
            _checkpoint(step)
        tracker = MemTracker()
        tracker.track_external(step.module)
        with tracker, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            step.loss().backward()
    seen = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]
    ours = memory.weights + memory.gradients + memory.activations
    # the last gradients come when most activations have gone
    assert seen <= ours < 1.3 * seen


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_total_bounds_what_torchs_tracker_of_fsdp_sees(mesh: DeviceMesh, precision: str) -> None:
    wide, rows = partial(network, 20, 2), 1  # many blocks, few rows: the parts come to their largest together
    memory = plan(wide, rows, strategy="fsdp", ranks=RANKS, precision=precision, checkpointing="full")
    policy = MixedPrecisionPolicy(reduce_dtype=torch.float32)
    if precision == "bf16":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    with FakeTensorMode():
        step = make(wide, rows)()
        _checkpoint(step)
        for part in (*step.blocks, step.module):
            fully_shard(part, mesh=mesh, mp_policy=policy)
        tracker = FSDPMemTracker(step.module)
        with tracker, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            step.loss().backward()
    seen = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]
    ours = memory.weights + memory.gradients + memory.gathered + memory.activations
    assert seen <= ours < 1.1 * seen


def _checkpoint(step: Step) -> None:
    for block in step.blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False)


def test_frozen_weights_have_no_gradient_and_buffers_count() -> None:
    def half_frozen() -> nn.Sequential:
        net = network()
        net[0].requires_grad_(False)
        net[1].register_buffer("offset", torch.zeros(10))
        return net

    memory, trained = plan(half_frozen), 6 * WIDTH**2 + 7 * WIDTH + 7
    assert memory.gradients == 4 * trained
    assert memory.optimizer == 8 * trained
    assert memory.weights == plan().weights + 40


def test_a_shared_weight_counts_once() -> None:
    def shared() -> nn.Sequential:
        net = network()
        net[1] = net[0]
        return net

    assert plan(shared).parameters == plan().parameters - 2 * WIDTH**2
    assert plan(shared, precision="bf16", optimizer="adamw_bf16").parameters == plan(shared).parameters


def test_what_is_kept_is_known_without_running_the_step() -> None:
    spread = Spread("fsdp", RANKS, "fp32")
    whole = step_memory(make(), spread)
    assert kept_memory(make(), spread) == replace(whole, activations=0)
    assert whole.activations > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"ranks": 2}, "a single device is one rank, not 2: set ranks=1"),
        ({"precision": "fp32", "optimizer": "adamw_bf16"}, "optimizer=adamw_bf16 keeps weights in bf16"),
    ],
)
def test_what_does_not_go_together_is_refused(words: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Spread(**words)  # type: ignore[arg-type]
