"""stage=simulate: synthetic chest CT scans with nodules of real outlines, and LUNA16's CSV files of the truth.

output/
├── scans/            what stage=infer takes as input: <seriesuid>/0001.dcm … or <seriesuid>.<format>
├── annotations.csv   seriesuid, coordX, coordY, coordZ, diameter_mm (LPS mm)
├── nodules.csv       the same rows, with kind and placement
└── seriesuids.csv    the scans, one a line

Scan i is the imagined patient of seed + i; from seed 100000 up the outlines are those held out from training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from apps.nodule.config import NoduleConfig, SimulateConfig
from apps.nodule.data.dicom_write import CTHeader, write_ct_series
from apps.nodule.data.luna16 import Annotations, write_annotations, write_seriesuids
from apps.nodule.data.phantom.phantom import Phantom, PhantomNodule, PhantomSpec, make_phantom, split_of_seed
from apps.nodule.data.volume import Volume
from apps.nodule.data.volume_files import write_volume_file
from core.data.seeds import seed_of
from core.errors import ExitCode
from core.runs.files import make_folder, write_csv
from core.runs.folder import Run
from core.terminal.progress import progress

SUFFIXES = {"nifti": ".nii.gz", "mhd": ".mhd", "nrrd": ".nrrd"}
NODULE_COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm", "kind", "placement")


def simulate(settings: SimulateConfig, seed: int) -> Iterator[tuple[int, Phantom]]:
    """Make `settings.count` phantoms, one at a time as the caller iterates, each with its own seed, from `seed` up.

    The same settings and seed give the same voxels.
    """
    return (
        (number, make_phantom(number, spec_of(settings, number)))
        for number in (seed_of(seed, index) for index in range(settings.count))
    )


def run(cfg: NoduleConfig, run: Run) -> int:
    """Make `simulate.count` phantoms below `output`; the same settings give the same bytes.

    Raises InputError where the output cannot be written.
    """
    output = Path(cfg.output or "")
    scans = make_folder(output / "scans")
    nodules: list[tuple[str, PhantomNodule]] = []
    uids = []
    for seed, phantom in progress(simulate(cfg.simulate, cfg.seed), "phantoms", cfg.simulate.count):
        write_scan(phantom.volume, scans, cfg.simulate, seed)
        uids.append(phantom.volume.uid)
        nodules += [(phantom.volume.uid, nodule) for nodule in phantom.nodules]
        run.log.event("simulated", seed=seed, count=len(phantom.nodules))
    write_truth(output, uids, nodules)
    run.write_metrics({"scans": len(uids), "nodules": len(nodules)})
    return ExitCode.DONE


def spec_of(settings: SimulateConfig, seed: int) -> PhantomSpec:
    """Return the phantom's spec that the settings mean for a seed."""
    return PhantomSpec(
        nodules=(settings.nodules, settings.nodules),
        slice_mm=settings.spacing_mm,
        pixel_mm=settings.pixel_mm,
        kernel=settings.kernel,
        dose=settings.dose,
        split=split_of_seed(seed),
    )


def write_scan(volume: Volume, folder: Path, settings: SimulateConfig, seed: int) -> None:
    """Write one scan: a folder of DICOM files, or one volume file."""
    if settings.format == "dicom":
        header = CTHeader(
            patient_id=f"PHANTOM-{seed}",
            patient_name=f"Phantom^{seed}",
            series_uid=volume.uid,
            convolution_kernel=settings.kernel.upper(),
        )
        write_ct_series(volume, folder / volume.uid, header=header)
    else:
        write_volume_file(volume, folder / (volume.uid + SUFFIXES[settings.format]))


def write_truth(output: Path, uids: Sequence[str], nodules: Sequence[tuple[str, PhantomNodule]]) -> None:
    """Write annotations.csv, nodules.csv and seriesuids.csv."""
    centres = np.array([nodule.centre_mm for _, nodule in nodules]).reshape(-1, 3)
    diameters = np.array([nodule.diameter_mm for _, nodule in nodules])
    write_annotations(
        output / "annotations.csv", Annotations(tuple(uid for uid, _ in nodules), centres, diameters)
    )
    rows = [(uid, *n.centre_mm, n.diameter_mm, n.kind, n.placement) for uid, n in nodules]
    write_csv(output / "nodules.csv", NODULE_COLUMNS, rows)
    write_seriesuids(output / "seriesuids.csv", uids)
