"""stage=train: the compact detector, in three rounds.

1. The proposal network learns on patches of whole context.
2. It searches all training lungs and learns on from its errors; the judge learns there too.
Each round checkpoints; a run that was cut off is resumed by the same command with the same run_dir.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from apps.nodule.config import NoduleConfig
from apps.nodule.data.training.patches import PatchMaker
from apps.nodule.data.training.training_set import TrainingSet, load_training_set
from apps.nodule.models.compact import CROP, STRIDE, CompactNet, JudgeNet, ProposalNet
from apps.nodule.models.compact_detector import load_compact, save_compact
from apps.nodule.models.heatmap import encode
from apps.nodule.models.learning import Judging, Proposing
from apps.nodule.models.mining import mine
from core.data.seeds import seed_of
from core.errors import ExitCode
from core.runs.folder import Run
from core.runs.training import Checkpoints, Source, Training
from core.training.config import share_of
from core.training.digests import arrays_digest, weights_digest
from core.training.fit import Fitted, fit

ROUND_SHARES = {"proposal": 0.32, "proposal_again": 0.26, "judge": 0.42}
FIRST = {"specimen": 0.36, "synthetic": 0.15, "cube": 0.14, "known": 0.20, "dense": 0.15}
AGAIN = {"specimen": 0.31, "synthetic": 0.12, "cube": 0.12, "known": 0.18, "dense": 0.08, "tempting": 0.19}
JUDGE = {"specimen": 0.22, "synthetic": 0.08, "cube": 0.11, "known": 0.13, "dense": 0.08, "tempting": 0.38}
PROPOSAL_EDGE = 64
PROPOSAL_JITTER = 20.0
JUDGE_JITTER = 2.5
JUDGE_BATCHES = 2  # its cubes are small: it takes this many times the batch
READ = ("data.volumes", "data.annotations", "data.real", "data.cache")  # compared by what is read
HIT_MM = 2.0  # a judge's cube this near to a centre, or within its radius, shows the nodule


def proposal_sample(maker: PatchMaker) -> Callable[[np.random.Generator], tuple[np.ndarray, ...]]:
    """Return what draws one sample: HU (1, P, P, P), heat map, boxes and validity on cells of 4 mm."""

    def make(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        patch = maker.draw(rng)
        cells = (maker.edge // STRIDE,) * 3
        heat, box = encode(patch.centres_N3, patch.diameters_N, cells)
        half = STRIDE // 2
        valid = patch.valid_DHW[half::STRIDE, half::STRIDE, half::STRIDE].astype(np.float32)
        return patch.hu_DHW[None], heat, box, valid

    return make


def judge_sample(maker: PatchMaker) -> Callable[[np.random.Generator], tuple[np.ndarray, ...]]:
    """Return what draws one sample: HU (1, 40, 40, 40), 1 or 0, and the box of the nodule that is there."""

    def make(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        # a tenth of the cubes lie beside the point: near misses are not nodules
        beside = rng.random() < 0.1
        patch = replace(maker, jitter=maker.jitter * 5).draw(rng) if beside else maker.draw(rng)
        middle = (maker.edge - 1) / 2
        gaps = np.linalg.norm(patch.centres_N3 - middle, axis=1)
        box = np.zeros(4, dtype=np.float32)
        hit = False
        if len(gaps):
            nearest = int(np.argmin(gaps))
            hit = bool(gaps[nearest] < max(HIT_MM, patch.diameters_N[nearest] / 2))
            box[:3] = (patch.centres_N3[nearest] - middle) / STRIDE
            box[3] = np.log(max(patch.diameters_N[nearest], 1.0))
        return patch.hu_DHW[None], np.array(hit, dtype=np.float32), box * hit

    return make


@dataclass(frozen=True, eq=False)
class Trained:
    """The trained networks, the course of each round, and what they learned from."""

    net: CompactNet
    rounds: dict[str, Fitted]
    material: TrainingSet


def run(cfg: NoduleConfig, run: Run) -> int:
    """Train on the configured material and leave `compact.safetensors` in the run folder.

    metrics.json holds for each round the steps, the mean loss of its last hundred, and the seconds. Raises as `train`.
    """
    trained = train(cfg, run)
    if run.rank == 0:
        save_compact(trained.net, run.path / "compact.safetensors", {})
    run.write_metrics(
        {
            "rounds": {name: asdict(fitted) for name, fitted in trained.rounds.items()},
            "scenes": len(trained.material.scenes),
            "specimens": len(trained.material.specimens),
            "cubes": len(trained.material.cubes),
        }
    )
    return ExitCode.DONE


def train(cfg: NoduleConfig, run: Run) -> Trained:
    """Train on the configured material; checkpoints and what was mined go to the run folder, which resumes.

    Raises ConfigError where the run folder holds a training with other settings or data, InputError for data or weights
    that cannot be used.
    """
    training = Training(run, cfg, ("seed", "data", "trainer"), but=READ)
    torch.manual_seed(cfg.seed)
    net = load_compact(cfg.model, cfg.weights).net.train() if cfg.weights else CompactNet()
    net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # a sixth less time a step
    material = load_training_set(cfg.data, cfg.seed, run.log)
    checkpoints = training.begin(_sources(cfg, net, material))
    rounds = {
        "proposal": _train_proposal(net.proposal, material, cfg, run, checkpoints / "proposal", FIRST, 0)
    }
    mine(net, material, run.path / "tempting.npz", run.log)
    again = (checkpoints / "proposal_again").begun_from(weights_digest(net.proposal.state_dict()))
    rounds["proposal_again"] = _train_proposal(net.proposal, material, cfg, run, again, AGAIN, 1)
    mine(net, material, run.path / "tempting_again.npz", run.log)
    judge = (checkpoints / "judge").begun_from(weights_digest(net.proposal.state_dict()))
    rounds["judge"] = _train_judge(net.judge, material, cfg, run, judge, 2)
    return Trained(net, rounds, material)


def _sources(cfg: NoduleConfig, net: CompactNet, material: TrainingSet) -> dict[str, Source]:
    """Return what the training reads, by the option that names it."""
    data, scenes, others = cfg.data, material.scenes, (*material.specimens, *material.cubes)
    volumes = {"folder": ("data.volumes", data.volumes), "mixed": ("data.real", data.real)}
    name, value = volumes.get(data.source, ("data.source", data.source))
    lungs = [array for one in scenes for array in (one.hu_DHW, one.airy_M3, one.dense_M3)]
    known = [array for one in scenes for array in (one.centres_N3, one.diameters_N)]
    return {
        name: Source(value, arrays_digest([*lungs, *(one.hu_DHW for one in others)])),
        "data.annotations": Source(data.annotations, arrays_digest(known)),
        "weights": Source(cfg.weights, weights_digest(net.state_dict()) if cfg.weights else ""),
    }


def _train_proposal(
    net: ProposalNet,
    material: TrainingSet,
    cfg: NoduleConfig,
    run: Run,
    checkpoints: Checkpoints,
    shares: dict[str, float],
    number: int,
) -> Fitted:
    module = Proposing(net, share_of(cfg.trainer, ROUND_SHARES[checkpoints.path.name]))
    maker = material.maker(PROPOSAL_EDGE, PROPOSAL_JITTER, shares)
    return fit(module, proposal_sample(maker), module.config, checkpoints, run.log, seed_of(cfg.seed, number))


def _train_judge(
    net: JudgeNet, material: TrainingSet, cfg: NoduleConfig, run: Run, checkpoints: Checkpoints, number: int
) -> Fitted:
    trainer = share_of(cfg.trainer, ROUND_SHARES["judge"])
    module = Judging(net, replace(trainer, batch_size=JUDGE_BATCHES * trainer.batch_size))
    maker = material.maker(CROP, JUDGE_JITTER, JUDGE)
    return fit(module, judge_sample(maker), module.config, checkpoints, run.log, seed_of(cfg.seed, number))
