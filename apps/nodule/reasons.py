"""Why a series is skipped, refused or noted, or a command stops: stable codes, each with one plain sentence.

A sentence about a series carries numbers at most, never an attribute of the patient, a UID or a file's name, so that
it may stand in a log line as well as in summary.csv.

A series is refused at two times. While the input is listed (`data.series.scan`), its headers are judged: files,
headers, frames, modality, geometry and select raise `refuse(…)` or return `skip(…)` or `fault(…)`, and `scan` turns
either into the series' verdict. When an accepted series is loaded (`data.load.load`), its voxels are decoded: pixels,
nifti and volume_files raise `refuse(…)`, which reaches the caller as ItemRefused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from core.errors import ConfigError, InputError, ItemRefused
from core.reasons import Reasons

ACCEPTED = "accepted"
SKIPPED = "skipped"
QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Reason:
    """A verdict: `status` is accepted, skipped or quarantined; `code` is stable; `sentence` is for people."""

    status: str
    code: str
    sentence: str


class Note(NamedTuple):
    """What a reader should know of an accepted series: `code` is stable, `sentence` is for people."""

    code: str
    sentence: str


ACCEPTED_SENTENCES = {
    "ct_series": "An axial CT series of {slices} slices.",
    "ct_volume": "A CT volume of {slices} slices.",
}

# No fault of the data: the rules of this application leave these aside.
SKIP_SENTENCES = {
    "not_an_image": "The file is neither DICOM nor an image volume.",
    "no_image_object": "The objects hold no image of their own: a report, a segmentation, a plan.",
    "secondary_capture": "The series is a secondary capture, a picture without Hounsfield units.",
    "not_ct": "The modality is not CT.",
    "localiser": "The series is a localiser.",
    "projection": "The series is a projection or a rendering (MIP, MinIP or the like), not slices.",
    "not_hounsfield": "The pixel values are declared to be another quantity than Hounsfield units.",
    "not_axial": "The slices lie {degrees:.0f} degrees off axial; at most {limit:.0f} are processed.",
    "too_few_slices": "The series has {slices} slices; a chest needs at least {limit}.",
    "too_short": "The series covers {extent:.1f} mm along the body; a chest needs at least {limit:.0f} mm.",
    "too_coarse": "The slices lie {step:.1f} mm apart; at most {limit:.1f} mm, or nodules fall between.",
}


class Undecodable(ItemRefused):
    """Pixel data of a series cannot be decoded; the sentence counts the images."""


refuse = Reasons(ItemRefused, "Why a series is quarantined", {
    "empty_file": "The file has no bytes.",
    "unreadable_file": "The system could not read the file or folder.",
    "not_dicom": "The file is named like DICOM but is not DICOM.",
    "truncated": "Files that end before their data do: {files} of {total}.",
    "no_uid": "The object has no valid series UID.",
    "no_pixel_data": "Images without pixel data: {files} of {total}.",
    "mixed_patients": "Images of {patients} patients carry the same series UID.",
    "mixed_studies": "Images of {studies} studies carry the same series UID.",
    "mixed_frames_of_reference": "The images of the series lie in {frames} frames of reference.",
    "interleaved_grids": (
        "The slices form {grids} interleaved grids, {offset:.2f} mm apart, and not each is a whole volume."
    ),
    "no_geometry": "Position, orientation or pixel spacing is missing or impossible, images: {images}.",
    "mixed_sizes": "The images of the series have {sizes} different sizes.",
    "mixed_spacings": "The images of the series have {spacings} different pixel spacings.",
    "mixed_orientations": "The images of the series have {orientations} different orientations.",
    "missing_slices": "Slices missing: {missing} (along the normal: {positions}).",
    "uneven_spacing": "The slices lie unevenly: {low:.2f} to {high:.2f} mm apart along the slice normal.",
    "uneven_positions": "The slices lie up to {offset:.2f} mm off a straight line.",
    "tilt_too_large": "The gantry is tilted by {degrees:.1f} degrees; at most {limit:.0f} are processed.",
    "duplicates_differ": "Slice positions taken by images that differ: {positions}.",
    "unknown_syntax": "The pixel data is in a transfer syntax that cannot be decoded.",
    "unsupported_pixels": "The pixels are not single grey values of 8 to 32 bits.",
    "bad_rescale": "The rescale to Hounsfield units is missing or impossible, images: {images}.",
    "values_not_hu": "The values are not Hounsfield units of a chest: they hold no air or no tissue.",
    "too_large": "The series has {billions:.1f} billion voxels; at most {limit:.0f} are processed.",
    "damaged_file": "The compressed data is damaged: its checksum does not match.",
    "volume_geometry": "The volume's axes or spacing are missing or impossible.",
    "shear_too_large": "The volume's axes are sheared by {degrees:.1f} degrees; at most {limit:.0f} are processed.",
    "unreadable_volume": "The volume file cannot be read.",
    "voxels_outside": "The volume's header names voxels outside its own folder.",
    "volume_axes": "The volume has {axes} axes; three are processed.",
    "volume_colour": "The voxels have {channels} channels; one is processed.",
    "volume_not_finite": "Voxels that are not finite numbers: {voxels}.",
    "no_vessels": "The volume shows no lung with vessels in it.",
    "out_of_memory": "The series does not fit into the memory.",
    "changed_since_submission": (
        "Its files changed or vanished after it was submitted; submitting the input again searches it."
    ),
    "internal_fault": "The series met a defect of the program; see the run's log.",
})  # fmt: skip

UNDECODABLE = Reasons(
    Undecodable,
    "Why a series is quarantined: its pixel data",
    {
        "undecodable": "Pixel data that cannot be decoded, images: {images}.",
    },
)

BAD_INPUT = Reasons(InputError, "Why a command stops at its input", {
    "input_missing": "input {path} does not exist",
    "input_empty": "{path} holds no file to read",
    "weights_changed": (
        "the weights or exported networks here are others than when the series was submitted: put those in place and "
        "run the job again (triptych-jobs requeue), or submit the input again"
    ),
    "submission_missing": (
        "{output} does not hold the list of submitted series: it was removed, moved, or written by stage=infer since; "
        "submit the input again"
    ),
    "output_is_input": "output {path} is the input itself; name another folder",
    "no_nodules": "{annotations} has no nodule on the scans of {seriesuids}: sensitivity is undefined",
    "csv_missing": "{path} does not exist",
    "csv_unreadable": "{path} cannot be read: {why}",
    "csv_encoding": "{path} is not a text file in UTF-8",
    "csv_syntax": "{path} row {row} is not valid CSV: {why}",
    "csv_empty": "{path} is empty; wanted the columns {columns}",
    "csv_no_series": "{path} lists no series",
    "csv_column": "{path} row {row} lacks the column {missing}; it must name {columns}",
    "csv_value": "{path} row {row}, column {column}: the value holds {value}, wanted a finite number",
    "csv_value_empty": "{path} row {row}, column {column}: the value is empty",
    "csv_value_missing": "{path} row {row}, column {column}: the value is missing: the row has {values} values",
    "csv_repeated_series": (
        "{path} row {row}, column {column}: the value repeats row {first}: a scan must be listed once"
    ),
    "csv_unknown_series": (
        "{path} row {row}, column {column}: the series is not in the list of scans (rows of this kind: {rows})"
    ),
    "nothing_to_train_on": "data.phantoms=0 leaves no lung to train on: add data.phantoms=…",
    "no_real_data": (
        "data=mixed needs the folder of real CT (data.real=FOLDER or TRIPTYCH_DATA); "
        "data=phantoms trains on generated chests alone"
    ),
    "no_own_data": "data=folder needs data.volumes=FOLDER and data.annotations=CSV",
    "no_own_nodules": "none of the annotations lies in the lungs of a readable series",
    "weights_missing": "the weights file {path} does not exist or is not a file",
    "weights_not_in_folder": "{path} holds no {suffixes} file: name a weights file or the folder of a training run",
    "weights_ambiguous": "{path} holds {count} weights files ({names}): name one of them",
    "weights_unreadable": "{path} cannot be read: {why}",
    "weights_unfit": "{path} holds no weights of the compact detector",
    "weights_mismatch": "{path} does not fit MONAI's lung_nodule_ct_detection network: {faults}",
    "weights_damaged": "{path} is not a valid {format} file, or is damaged",
    "weights_not_state_dict": "{path} holds no state dict (layer names with their tensors)",
    "weights_torchscript": "{path} is a TorchScript file; wanted a state dict such as model.pt",
})  # fmt: skip

STUDY = Reasons(InputError, "Why a server refuses a study", {
    "study_empty": "The request has no body: send a DICOM study.",
    "study_not_zip": "The body is not a zip archive.",
    "study_encrypted": "The zip archive is encrypted.",
    "study_damaged": "The zip archive is damaged, or compressed in a way that is not supported.",
    "study_parts": "The body is not a multipart with the boundary that its Content-Type names, or is cut off.",
    "study_name": "A file of the study has a name that cannot be stored.",
    "study_no_files": "The study holds no file to read.",
    "study_too_many_files": "The study holds {files} files; at most {limit} are taken.",
    "study_too_large": "The zip archive unpacks to more than {limit} bytes.",
    "study_no_room": "The server cannot store the study: its disk may be full.",
    "study_not_searched": "None of the series in the study can be searched: {series}.",
    "study_fault": "The study met a defect of the program; see the server's log.",
})  # fmt: skip

BAD_CONFIG = Reasons(ConfigError, "Why a configuration is refused", {
    "train_compact_only": "stage=train trains model=compact only: leave model out",
    "data_folder_incomplete": "data=folder needs data.{name}: add data.{name}=…",
    "overlap_retinanet_only": "model.overlap is for model=retinanet: leave it out",
    "weights_needed": "model=retinanet has no embedded weights: add weights=FILE, of MONAI's bundle",
    "tile_size": "tile is {tile}, wanted multiples of {divisors}",
    "tile_not_exported": (
        "model.tile={edge} makes tiles of {tile} voxels along {axis}, and the network in {path} takes {allowed}"
    ),
})  # fmt: skip

# What was repaired or is peculiar in an accepted series.
NOTE_SENTENCES = {
    "duplicates_dropped": "Images that repeat another exactly and were dropped: {images}.",
    "others_dropped": "Objects in the series that are not axial CT images and were left out: {images}.",
    "series_split": "The series holds {parts} stacks of images, separated by {by}; this result is of stack {number}.",
    "interleaved": "The slices of the stacks interleave, {offset:.2f} mm apart.",
    "rescale_type": (
        "The header calls the values by another name than Hounsfield units; they lie where a chest in HU has them."
    ),
    "frames_of_reference": (
        "The images name {frames} frames of reference, nearly one each; their positions form one regular grid."
    ),
    "frame_of_reference_absent": "Images that name no frame of reference and were taken to share it: {images}.",
    "gantry_tilt": "The gantry was tilted by {degrees:.1f} degrees; positions follow the tilt exactly.",
    "monochrome1_inverted": "The pixel values were stored inverted (MONOCHROME1) and were turned back.",
    "name_not_content": "The file's name and content differ on whether it is compressed; it was read by its content.",
    "no_orientation": (
        "The file does not say how its axes lie in the patient: they were taken as left, back, head; no side is given."
    ),
    "two_placements": "The file's s-form and q-form place it up to {off:.2f} mm apart; the scanner's own was used.",
    "directions_straightened": "The directions of the axes were off by {off:.1e} and were made orthogonal.",
    "sheared": "The volume's axes are sheared by {degrees:.1f} degrees; positions follow the shear exactly.",
    "padding_ignored": "The declared padding value lies among the tissue values and was not used.",
    "body_part_differs": "The header names a body part without lungs, but lungs were found.",
    "chest_without_lung": "The header names the chest, but no lung was found.",
    "small_body": "The body is {width:.0f} mm wide, as a small child's; the detector was made for adults.",
    "patient_size_differs": "The patient's size in the header does not fit a body {width:.0f} mm wide.",
    "gas_cavity": "Air spaces above {limit:.0f} ml without lung tissue were searched like lungs: {cavities}.",
}

# What was not searched, or not reported, in an accepted series.
LIMIT_SENTENCES = {
    "no_segmentation": "Nothing was found, so there is no segmentation file.",
    "no_lung": "No lung found: no air space holds {limit:.0f} ml of lung tissue, so no nodule was searched for.",
    "not_searched": (
        "Not searched for: nodules below about 4 mm, masses above about {largest:.0f} mm, enlarged lymph nodes, "
        "and parts of a lung that hold no air."
    ),
    "thick_slices": (
        "The slices lie {step:.1f} mm apart: nodules below {smallest:.0f} mm may fall between them, and above "
        "{limit:.0f} mm no sensitivity was measured."
    ),
    "candidate_limit": (
        "Possible nodules that were left out, beyond the best {limit} (set by model.max_candidates): {left}."
    ),
}


def _fill(table: dict[str, str], code: str, values: dict[str, float | str]) -> str:
    return table[code].format(**values)


def accept(code: str, **values: float | str) -> Reason:
    """Return the verdict for a series that goes on."""
    return Reason(ACCEPTED, code, _fill(ACCEPTED_SENTENCES, code, values))


def skip(code: str, **values: float | str) -> Reason:
    """Return the verdict for a series that a rule leaves aside."""
    return Reason(SKIPPED, code, _fill(SKIP_SENTENCES, code, values))


def fault(code: str, **values: float | str) -> Reason:
    """Return the verdict for a series with a fault."""
    return Reason(QUARANTINED, code, refuse.sentence(code, **values))


def verdict_of(refusal: ItemRefused) -> Reason:
    """Return the verdict that a refusal means."""
    return Reason(QUARANTINED, refusal.code, refusal.sentence)


def note(code: str, **values: float | str) -> Note:
    """Return the note of a code."""
    return Note(code, _fill(NOTE_SENTENCES | LIMIT_SENTENCES, code, values))
