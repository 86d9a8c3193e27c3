"""stage=simulate: synthetic chest CT scans with nodules of real outlines, and LUNA16's CSV files of the truth.

output/
├── scans/            what stage=infer takes as input: <seriesuid>/0001.dcm … or <seriesuid>.<format>
├── annotations.csv   seriesuid, coordX, coordY, coordZ, diameter_mm (LPS mm)
├── nodules.csv       the same rows, with kind and placement
└── seriesuids.csv    the scans, one a line

Scan i is the imagined patient of seed + i; from seed 100000 up the outlines are those held out from training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from apps.nodule.config import NoduleConfig, SimulateConfig
from apps.nodule.data.dicom_write import CTHeader, write_ct_series
from apps.nodule.data.luna16 import Annotations, write_annotations, write_seriesuids
from apps.nodule.data.phantom.phantom import PhantomNodule, PhantomSpec, make_phantom, split_of_seed
from apps.nodule.data.volume import Volume
from apps.nodule.data.volume_files import write_volume_file
from core.errors import ExitCode
from core.runs.files import make_folder, write_csv
from core.runs.folder import Run
from core.terminal.progress import progress

SUFFIXES = {"nifti": ".nii.gz", "mhd": ".mhd", "nrrd": ".nrrd"}
NODULE_COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm", "kind", "placement")


def run(config: NoduleConfig, run: Run) -> int:
    """Make `simulate.count` phantoms below `output`; the same settings give the same bytes.

    Raises InputError where the output cannot be written.
    """
    output = Path(config.output or "")
    scans = make_folder(output / "scans")
    found: list[tuple[str, PhantomNodule]] = []
    uids = []
    for seed in progress(range(config.seed, config.seed + config.simulate.count), "phantoms"):
        phantom = make_phantom(seed, spec_of(config.simulate, seed))
        write_scan(phantom.volume, scans, config.simulate, seed)
        uids.append(phantom.volume.uid)
        found += [(phantom.volume.uid, nodule) for nodule in phantom.nodules]
        run.log.event("simulated", seed=seed, count=len(phantom.nodules))
    write_truth(output, uids, found)
    run.write_metrics({"scans": len(uids), "nodules": len(found)})
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


def write_truth(output: Path, uids: Sequence[str], found: Sequence[tuple[str, PhantomNodule]]) -> None:
    """Write annotations.csv, nodules.csv and seriesuids.csv."""
    centres = np.array([nodule.centre_mm for _, nodule in found]).reshape(-1, 3)
    diameters = np.array([nodule.diameter_mm for _, nodule in found])
    write_annotations(
        output / "annotations.csv", Annotations(tuple(uid for uid, _ in found), centres, diameters)
    )
    rows = [(uid, *n.centre_mm, n.diameter_mm, n.kind, n.placement) for uid, n in found]
    write_csv(output / "nodules.csv", NODULE_COLUMNS, rows)
    write_seriesuids(output / "seriesuids.csv", uids)
