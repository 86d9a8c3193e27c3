"""What measures a pipeline's pictures: real pictures to compare with, the network that sees, and the scorer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from apps.imagegen.data.pictures import TRAIN, PictureSet, load_pictures
from apps.imagegen.models.inception import Inception, load_inception
from apps.imagegen.models.scorer import Scorer, load_scorer
from core.runs.log import RunLog


@dataclass(frozen=True, eq=False)
class Judges:
    """What measures, and what it is measured on."""

    pictures: PictureSet
    inception: Inception
    scorer: Scorer


def load_judges(cache: Path, edge: int, log: RunLog) -> Judges:
    """Return what measures, from packages below `cache`, fetched and the scorer trained where they are not there.

    edge: pixels of the pictures. Raises InputError as `archive_of` does.
    """
    pictures = load_pictures(cache, edge)
    inception = load_inception(cache)
    return Judges(pictures, inception, load_scorer(cache, pictures.part(TRAIN), inception, log))
