"""stage=plan: figures against real tensors and closed forms, a command that composes, a table that says all."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from apps.risk.config import ModelConfig, PlanConfig, RiskConfig
from apps.risk.models.sizes import QUANTILE_LEVELS, SIZES
from apps.risk.models.transformer import RiskFormer, target_rows
from apps.risk.plan import Launch, forward_flop, launch_of, machines_of, plan, run, step_of, table, tokens_of
from core.cli.command_line import read_command_line
from core.cli.compose import compose_jobs
from core.errors import ConfigError, InputError
from core.runs.folder import Run
from core.training.memory import GIB, Spread, kept_memory


def config(size: str = "tiny", output: Path | None = None, **words: Any) -> RiskConfig:
    model = ModelConfig(name="riskformer", size=size, context=words.pop("context", 64))
    plan = PlanConfig(**{"ranks": 1, "strategy": "single", "checkpointing": "none", "batch_size": 2, **words})
    return RiskConfig(stage="plan", model=model, plan=plan, output=None if output is None else str(output))


def test_bytes_are_those_of_real_tensors() -> None:
    """One real step of the tiny network on the CPU."""
    torch.manual_seed(0)
    net = RiskFormer(SIZES["tiny"])
    optimizer = torch.optim.AdamW(net.parameters())
    forecast = net(target_rows(torch.randn(2, 64), torch.ones(2, 64, dtype=torch.bool), 10, None))
    (forecast.z_BHQ.sum() + forecast.event_G.sum()).backward()
    optimizer.step()
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    moments = [x for state in optimizer.state.values() for name, x in state.items() if name != "step"]
    real = [sum(x.nbytes for x in tensors) for tensors in (net.parameters(), gradients, moments)]
    memory = kept_memory(step_of(config()), Spread(precision="fp32"))
    assert [memory.weights, memory.gradients, memory.optimizer] == real
    planned = plan(config())
    parts = ("weights", "gradients", "optimizer")
    assert [planned.gib_per_rank[name] for name in parts] == [round(size / GIB, 6) for size in real]
    assert planned.parameters * 4 == real[0]


@pytest.mark.parametrize("name", list(SIZES))
def test_parameters_by_the_closed_form(name: str) -> None:
    size = SIZES[name]
    D, F, P, Q = size.width, size.hidden, size.patch, len(QUANTILE_LEVELS)
    head = D // size.heads
    attention = 2 * D * D + 2 * size.kv_heads * head * D + 2 * head
    layer = attention + 3 * D * F + 2 * D
    row = 4 * D + 3 * D  # kinds; the series' level
    patches = 2 * (2 * P + 2) * D + (D + 1) * D
    heads = (D + 1) * P * Q + D + 1
    with torch.device("meta"):
        count = sum(p.numel() for p in RiskFormer(size).parameters())
    assert count == size.layers * layer + row + patches + D + heads


def test_the_largest_is_as_large_as_its_name() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in RiskFormer(SIZES["10b"]).parameters())
    assert count == 10_220_870_993


def test_tokens_and_operations() -> None:
    """Each weight multiplies each token: two operations (Kaplan et al. 2020, arXiv:2001.08361, section 2.1)."""
    settings = config("50m", context=100)
    assert tokens_of(settings) == 1 + 7 + 1
    weights = kept_memory(step_of(settings), Spread()).parameters
    # the heads, 2 % of the weights, see some tokens alone, and attention has products of its own
    assert forward_flop(settings) == pytest.approx(2 * weights * 2 * 9, rel=0.02)
    alone = plan(config())
    assert alone.tokens_per_step == 2 * (1 + 4 + 1)
    assert alone.tflop_per_step == pytest.approx(3 * forward_flop(config()) / 1e12, abs=1e-6)
    spread = plan(config(checkpointing="full", ranks=4, strategy="fsdp"))
    assert spread.tflop_per_step == pytest.approx(4 * alone.tflop_per_step, abs=3e-6)
    again = spread.tflop_per_step_with_recomputation
    assert again == pytest.approx(4 / 3 * spread.tflop_per_step, abs=3e-6)


def composed(launch: Launch) -> RiskConfig:
    words = shlex.split(launch.command)
    index = words.index("pipelines.risk")
    assert words[0] == "torchrun"
    assert words[index - 1] == "-m"
    (job,) = compose_jobs("risk", RiskConfig, read_command_line(words[index + 1 :]))
    assert isinstance(job, RiskConfig)
    return job


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize(
    "words",
    [
        {},
        {"ranks": 8, "strategy": "ddp", "precision": "fp32", "batch_size": 3},
        {"ranks": 8, "strategy": "fsdp", "checkpointing": "full"},
        {"optimizer": "adamw_bf16_in_backward", "checkpointing": "full"},
        {"ranks": 32, "strategy": "fsdp"},
    ],
    ids=["single", "ddp", "fsdp", "in-backward", "machines"],
)
def test_the_command_composes_to_what_was_planned(size: str, words: dict[str, Any]) -> None:
    settings = config(size, context=512, **words)
    launch = launch_of(settings)
    job = composed(launch)
    assert (job.stage, job.model.name, job.model.size, job.model.context) == (
        "train",
        "riskformer",
        size,
        512,
    )
    assert job.data.sample == "mixture"
    assert job.trainer.batch_size == settings.plan.batch_size
    assert job.trainer.devices == min(settings.plan.ranks, 8)
    assert job.trainer.ema_decay == 0.0
    assert job.trainer.precision == settings.plan.precision == launch.spread.precision
    assert job.trainer.strategy == launch.spread.strategy
    assert job.run_dir is not None


def test_ranks_are_spread_evenly_over_machines() -> None:
    counts = {1: 1, 8: 1, 9: 3, 12: 2, 13: 13, 16: 2, 20: 4, 65536: 8192}
    assert {ranks: machines_of(ranks) for ranks in counts} == counts
    command = launch_of(config(ranks=12, strategy="ddp")).command
    assert "--nproc-per-node=6 --nnodes=2" in command
    assert composed(launch_of(config(ranks=12, strategy="ddp"))).trainer.devices == 6


def test_commands_that_train_other_weights_have_other_run_folders() -> None:
    plans = [{}, {"batch_size": 4}, {"context": 128}, {"precision": "fp32"}, {"ranks": 2, "strategy": "ddp"}]
    folders = {composed(launch_of(config(**words))).run_dir for words in plans}
    assert len(folders) == len(plans)


def test_the_command_says_what_the_training_cannot_do_yet() -> None:
    assert launch_of(config()).lacks == ()
    assert launch_of(config(ranks=8, strategy="ddp")).lacks == ()
    asked = config(ranks=16, strategy="ddp", optimizer="adamw_bf16")
    launch = launch_of(asked)
    assert launch.lacks == ("optimizer=adamw_bf16",)
    assert "--nnodes=2" in launch.command
    planned = plan(config(ranks=8, strategy="ddp", optimizer="adamw_bf16"))
    assert planned.launch_gib_per_rank > planned.gib_per_rank["total"]
    assert "does not know optimizer=adamw_bf16 yet: as launched it takes 0." in table(planned)
    small = table(plan(config(memory_gib=0.001, optimizer="adamw_bf16")))
    assert "as launched it takes at least 0.02 GiB a rank, which does not fit" in small
    assert "does not know" not in table(plan(config()))


@pytest.mark.parametrize(("memory", "fits"), [(0.001, False), (24.0, True)])
def test_it_says_whether_it_fits(memory: float, fits: bool) -> None:
    planned = plan(config(memory_gib=memory))
    assert planned.fits is fits
    assert planned.headroom_gib == pytest.approx(memory - planned.gib_per_rank["total"], abs=0.001)
    assert ("left: it fits" in table(planned)) is fits


def test_the_table_holds_every_figure() -> None:
    planned = plan(config())
    assert planned.size == "tiny"
    assert f"riskformer tiny: {planned.parameters:,} parameters\n" in table(planned)
    assert "\nMiB a rank\n" in table(planned)
    for part, value in planned.gib_per_rank.items():
        assert f" {value * 1024:,.2f}\n" in table(planned), part
    large = table(replace(planned, gib_per_rank=dict.fromkeys(planned.gib_per_rank, 2.5), ranks=3))
    assert "\nGiB a rank\n" in large
    assert large.count(" 2.50\n") == len(planned.gib_per_rank) == 7
    assert "\n3 ranks, strategy single, precision bf16, optimizer adamw, checkpointing none\n" in large
    assert planned.launch in large


def test_it_is_shown_and_written_the_same_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        record = Run(tmp_path / f"run-{name}")
        assert run(config(output=tmp_path / name), record) == 0
        record.close()
    shown = capsys.readouterr().out
    text = (tmp_path / "one" / "plan.txt").read_text()
    assert shown == text * 2
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["plan.json", "plan.txt"]
    for name in ("plan.json", "plan.txt"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    figures = json.loads((tmp_path / "one" / "plan.json").read_text())
    assert json.loads((tmp_path / "run-one" / "metrics.json").read_text()) == figures
    again = plan(config())
    assert json.loads(json.dumps(asdict(again))) == figures
    assert table(again) == text


def test_a_model_without_a_size_is_refused(tmp_path: Path) -> None:
    record = Run(tmp_path)
    with pytest.raises(
        InputError, match=r"^model\.name=gjr_garch has no size to plan: add model=10b, or another"
    ):
        run(RiskConfig(stage="plan", model=ModelConfig(name="gjr_garch")), record)
    record.close()


def test_one_device_is_one_rank() -> None:
    with pytest.raises(ConfigError, match="a single device is one rank, not 8: set ranks=1"):
        plan(config(ranks=8))
