"""Settings of the lung-nodule app: every field with its unit and range; free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from apps.nodule.reasons import BAD_CONFIG
from core.compute.devices import ABOUT_DEVICE, DEVICES
from core.export.formats import chosen
from core.export.options import artifacts_option, check_device, formats_option, runtime_option
from core.jobs.config import DEFAULT_QUEUE, check_name
from core.serving.config import ServingConfig, host_option, port_option
from core.settings.schema import EVERY, MISSING, Section, path_text, section, setting
from core.training.config import TrainerConfig

STAGES = {
    "train": "train the detector's weights on generated chests, the real data folder or your own volumes",
    "evaluate": "compute FROC and CPM of candidates against annotations, both in LUNA16's format",
    "infer": "find nodules in every CT series of a folder; write tables, pages and DICOM results",
    "submit": "put every CT series of a folder on the queue of jobs, for stage=infer's results",
    "serve": "answer posted DICOM studies with findings, SR and SEG over HTTP",
    "export": "write the detector's networks in other formats, each checked against PyTorch and by CPM",
    "simulate": "generate chest CTs with known nodules",
}
SEARCHING = ("infer", "submit", "serve")


@dataclass
class ModelConfig(Section):
    """Which detector is used, and how it searches a volume."""

    where: ClassVar[str] = "model"

    name: str = setting(
        "compact",
        "which network",
        choices=("compact", "retinanet"),
        stages=("train", "infer", "submit", "serve", "export"),
    )
    threshold: float | None = setting(
        None, "probability from which a candidate is a finding; null takes the weights' own", low=0, high=1
    )
    candidate_threshold: float = setting(0.02, "lowest probability in candidates.csv", low=0, high=1)
    max_candidates: int | None = setting(
        None,
        "most candidates kept a scan, best first; null: 30, or up to 100 where more may be findings",
        low=1,
        high=10000,
    )
    tile: int = setting(
        160, "slices (compact) or edge of the cube (retinanet) seen at once", unit="voxels", low=32, high=512
    )
    overlap: float | None = setting(
        None, "share of a tile that its neighbour sees too, for model=retinanet", low=0, high=0.75
    )
    device: str = setting("auto", ABOUT_DEVICE, choices=DEVICES)


@dataclass
class DataConfig(Section):
    """What the detector trains on."""

    where: ClassVar[str] = "data"

    source: str = setting(
        "mixed",
        "mixed: phantoms and the real data folder; phantoms: generated only; folder: your own volumes",
        choices=("mixed", "phantoms", "folder"),
    )
    volumes: str | None = path_text(
        None,
        "folder of your volumes (DICOM, NIfTI, MHD, NRRD), for source=folder",
        exists=True,
        only_with="data.source=folder",
    )
    annotations: str | None = path_text(
        None,
        "nodules in those volumes, CSV in LUNA16's format, for source=folder",
        exists=True,
        only_with="data.source=folder",
    )
    real: str | None = path_text(
        None,
        "folder of real data for source=mixed",
        null="$TRIPTYCH_DATA",
        exists=True,
        only_with="data.source=mixed",
    )
    cache: str = path_text(".cache/nodule", "folder for prepared data; may be deleted at any time")
    anatomy_mm: float = setting(
        1.0,
        "grid that generated chests are drawn on; a coarser one is faster and paler",
        unit="mm",
        low=0.5,
        high=4,
        only_with="data.source=mixed|phantoms",
    )
    phantoms: int = setting(
        64,
        "generated chests to train on",
        unit="chests",
        low=0,
        high=100000,
        only_with="data.source=mixed|phantoms",
    )


@dataclass
class SimulateConfig(Section):
    """What the phantom generator makes."""

    where: ClassVar[str] = "simulate"

    count: int = setting(1, "chests to make; chest i uses seed + i", unit="chests", low=1, high=100000)
    nodules: int = setting(3, "nodules in each chest", unit="nodules", low=0, high=30)
    spacing_mm: float = setting(1.25, "distance of slices", unit="mm", low=0.5, high=10)
    pixel_mm: float = setting(0.7, "distance of pixels in a slice", unit="mm", low=0.3, high=2)
    dose: float = setting(1.0, "dose relative to a routine scan; noise rises as it falls", low=0.05, high=10)
    kernel: str = setting("standard", "reconstruction kernel", choices=("soft", "standard", "sharp"))
    format: str = setting("dicom", "what is written", choices=("dicom", "nifti", "mhd", "nrrd"))


@dataclass
class SubmitConfig(Section):
    """How the jobs of a submission are queued."""

    where: ClassVar[str] = "submit"

    queue: str = setting(DEFAULT_QUEUE, "queue that the series are put on")
    priority: int = setting(100, "of two series that wait, the smaller number comes first", low=1, high=10**9)
    deadline_h: float | None = setting(
        None, "time after which a series that is not done is given up; null: never", unit="hours", above=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("queue", self.queue)


@dataclass
class ExportConfig(Section):
    """What an export is judged on."""

    where: ClassVar[str] = "export"

    scans: int = setting(
        8, "generated chests on which CPM is measured before and after", unit="chests", low=1, high=1000
    )


@dataclass
class ServeConfig(ServingConfig):
    """How the service answers: the options of every service, and those of its detector."""

    body_mb: float = setting(2000.0, "largest study", unit="MB", above=0, high=100_000)
    body_s: float = setting(600.0, "time for a study to arrive", unit="s", above=0, high=3600)
    processes: int = setting(
        1, "studies searched at once, each by a process of its own", unit="processes", low=1, high=64
    )
    waiting: int = setting(
        16, "studies that may wait (HTTP 429 beyond them)", unit="studies", low=0, high=1000
    )
    study_s: float = setting(
        900.0, "time for a study to be searched (HTTP 504 after it)", unit="s", above=0, high=86_400
    )


@dataclass
class NoduleConfig(Section):
    """The whole command line of triptych-nodule."""

    stage: str = setting(MISSING, "what to do", choices=STAGES, stages=EVERY)
    seed: int = setting(
        0, "seed of everything random", low=0, high=2**32 - 1, stages=("train", "evaluate", "simulate")
    )
    input: str | None = path_text(
        None,
        "folder of DICOM files or volumes, or one volume",
        needed_by=("infer", "submit"),
        exists=True,
    )
    output: str | None = path_text(
        None,
        "folder for results; a second run writes the same bytes",
        needed_by=("infer", "submit", "evaluate", "simulate", "export"),
    )
    run_dir: str | None = path_text(
        None, "folder of this run's record; name an old one to resume it", stages=EVERY
    )
    weights: str | None = path_text(
        None,
        "weights to use, or to begin training from: a file, or the folder of a training run",
        null="the embedded ones, or none",
        exists=True,
        stages=("train", "infer", "submit", "serve", "export"),
    )
    formats: list[str] = formats_option(["torch_export", "torchscript"])
    artifacts: str | None = artifacts_option(SEARCHING)
    runtime: str = runtime_option(SEARCHING)
    predictions: str | None = path_text(
        None, "candidates, CSV in LUNA16's format", needed_by=("evaluate",), exists=True
    )
    annotations: str | None = path_text(
        None, "nodules, CSV in LUNA16's format", needed_by=("evaluate",), exists=True
    )
    excluded: str | None = path_text(
        None, "irrelevant findings, CSV in LUNA16's format", exists=True, stages=("evaluate",)
    )
    seriesuids: str | None = path_text(
        None,
        "scans that count, one series UID a line",
        needed_by=("evaluate",),
        exists=True,
    )
    host: str = host_option(("serve",))
    port: int = port_option(("serve",))
    model: ModelConfig = section(ModelConfig, stages=SEARCHING)
    data: DataConfig = section(DataConfig, stages=("train", "export"))
    export: ExportConfig = section(ExportConfig, stages=("export",))
    trainer: TrainerConfig = section(TrainerConfig, stages=("train",))
    submit: SubmitConfig = section(SubmitConfig, stages=("submit",))
    simulate: SimulateConfig = section(SimulateConfig, stages=("simulate",))
    serve: ServeConfig = section(ServeConfig, stages=("serve",))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stage == "train" and self.model.name != "compact":
            raise BAD_CONFIG("train_compact_only")
        check_device(self.artifacts, self.model.device, "model.device")
        if self.stage == "export":
            chosen(self.formats)
        if self.stage in ("train", "export") and self.data.source == "folder":
            for name in ("volumes", "annotations"):
                if getattr(self.data, name) is None:
                    raise BAD_CONFIG("data_folder_incomplete", name=name)
        if self.model.name == "compact" and self.model.overlap is not None:
            raise BAD_CONFIG("overlap_retinanet_only")
        if self.stage in (*SEARCHING, "export") and self.model.name == "retinanet" and self.weights is None:
            raise BAD_CONFIG("weights_needed")
