"""stage=train: the autoencoder on crops of captioned pictures, then the denoiser on their latents.

The pipeline folder is left as `model` in the run folder; weights=FOLDER uses it. A training that was cut off is
resumed by the same command with the same run_dir.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

from apps.imagegen.config import ImagegenConfig
from apps.imagegen.data.pictures import TRAIN, PictureSet, load_pictures, pictures_digest
from apps.imagegen.data.recipe import SEEDS
from apps.imagegen.data.training_samples import captioned, crops_of, texts_of
from apps.imagegen.models.autoencoder import encode, new_autoencoder, standardise
from apps.imagegen.models.denoiser import new_denoiser, training_scheduler
from apps.imagegen.models.learning import Compressing, Denoising
from apps.imagegen.models.pipeline_saved import save_networks
from apps.imagegen.models.text import TOKENS, WIDTH, load_text_encoder, states_of
from core.data.seeds import seed_of
from core.errors import ExitCode
from core.runs.arrays import read_arrays, write_arrays
from core.runs.folder import Run
from core.runs.training import Checkpoints, Source, Training
from core.training.digests import weights_digest
from core.training.fit import Fitted, fit


@dataclass(frozen=True, eq=False)
class Trained:
    """Both networks, the noise they were trained on, and how. pictures: without variants. captions: different ones."""

    autoencoder: AutoencoderKL
    denoiser: UNet2DConditionModel
    scheduler: DDIMScheduler
    rounds: dict[str, Fitted]
    pictures: int
    variants: int
    captions: int


def run(cfg: ImagegenConfig, run: Run) -> int:
    """Train both networks and leave a pipeline folder. metrics.json holds steps, loss and seconds of each.

    Raises ConfigError and InputError as `train` does.
    """
    trained = train(cfg, run)
    if run.rank == 0:
        save_networks(run.path / "model", trained.autoencoder, trained.denoiser, trained.scheduler)
    run.write_metrics(
        {
            "rounds": {name: asdict(fitted) for name, fitted in trained.rounds.items()},
            "pictures": trained.pictures,
            "variants": trained.variants,
            "captions": trained.captions,
        }
    )
    return ExitCode.DONE


def train(cfg: ImagegenConfig, run: Run) -> Trained:
    """Train the autoencoder and then the denoiser; checkpoints lie in the run folder, and a cut-off training goes on.

    Raises ConfigError where the run folder holds a training with other settings or pictures, and InputError as
    `archive_of` does.
    """
    training = Training(run, cfg, ("seed", "model.edge", "autoencoder", "trainer"))
    cache = Path(cfg.data.cache)
    pictures = load_pictures(cache, cfg.model.edge).part(TRAIN)
    state_MTD = _states(texts_of(pictures.pictures), cache)
    checkpoints = training.begin({"data.cache": Source(cfg.data.cache, pictures_digest(pictures, cfg.seed))})
    autoencoder, first = _autoencoder(cfg, run, pictures, checkpoints / "autoencoder")
    mark = weights_digest(autoencoder.state_dict())
    latent_NLhw = _latents(autoencoder, pictures, run, mark)
    torch.manual_seed(seed_of(cfg.seed, 1, SEEDS))
    denoiser, scheduler = new_denoiser(cfg.model.edge, WIDTH), training_scheduler()
    samples = captioned(pictures.pictures, latent_NLhw, state_MTD)
    second = fit(
        Denoising(denoiser, scheduler.alphas_cumprod, cfg.trainer),
        samples.draw,
        cfg.trainer,
        (checkpoints / "denoiser").begun_from(mark),
        run.log,
        seed_of(cfg.seed, 1, SEEDS),
    )
    plain = sum(one.plain for one in pictures.pictures)
    return Trained(
        autoencoder,
        denoiser,
        scheduler,
        rounds={"autoencoder": first, "denoiser": second},
        pictures=plain,
        variants=len(pictures.pictures) - plain,
        captions=len(state_MTD) - 1,
    )


def _autoencoder(
    cfg: ImagegenConfig, run: Run, pictures: PictureSet, checkpoints: Checkpoints
) -> tuple[AutoencoderKL, Fitted]:
    """Train the autoencoder, or load it where it is trained, and give its latents one scale."""
    torch.manual_seed(cfg.seed)
    net = new_autoencoder(cfg.model.edge)
    fitted = fit(
        Compressing(net, cfg.autoencoder),
        crops_of(pictures),
        cfg.autoencoder,
        checkpoints,
        run.log,
        cfg.seed,
    )
    net.eval().requires_grad_(requires_grad=False)
    plain = pictures.part(TRAIN, plain=True)
    standardise(net, encode(net, torch.from_numpy(plain.rgb_NHWC)))
    return net, fitted


def _latents(net: AutoencoderKL, pictures: PictureSet, run: Run, mark: str) -> np.ndarray:
    """Return latents of all pictures; made once of an autoencoder, whose digest `mark` is."""
    path = run.path / "latents.npz"
    kept = read_arrays(path)
    if kept is None or kept.keys() != {"latent", "mark"} or str(kept["mark"]) != mark:
        kept = {"latent": encode(net, torch.from_numpy(pictures.rgb_NHWC)).numpy(), "mark": np.array(mark)}
        if run.rank == 0:
            write_arrays(path, kept)
    return kept["latent"]


def _states(texts: list[str], cache: Path) -> np.ndarray:
    """Return states of all captions, float16; they depend on the texts alone, and are made once of these."""
    digest = hashlib.sha256(json.dumps([TOKENS, texts]).encode()).hexdigest()
    path = cache / f"states-{digest[:16]}.npz"
    kept = read_arrays(path)
    if kept is None:
        kept = {"state": states_of(*load_text_encoder(), texts).half().numpy()}
        write_arrays(path, kept)
    return kept["state"]
