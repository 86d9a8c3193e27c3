"""Why a series is skipped, refused or noted: stable codes, each with one plain sentence.

A sentence carries numbers at most, never an attribute of the patient, a UID or a file's name, so that it may
stand in a log line as well as in summary.csv.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import ItemRefused

ACCEPTED = "accepted"
SKIPPED = "skipped"
QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Reason:
    """A verdict: `status` is accepted, skipped or quarantined; `code` is stable; `sentence` is for people."""

    status: str
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

FAULT_SENTENCES = {
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
    "missing_slices": "Slices missing: {missing} (along the normal: {places}).",
    "uneven_spacing": "The slices lie unevenly: {low:.2f} to {high:.2f} mm apart along the slice normal.",
    "uneven_positions": "The slices lie up to {offset:.2f} mm off a straight line.",
    "tilt_too_large": "The gantry is tilted by {degrees:.1f} degrees; at most {limit:.0f} are processed.",
    "duplicates_differ": "Slice positions taken by images that differ: {places}.",
    "unknown_syntax": "The pixel data is in a transfer syntax that cannot be decoded.",
    "undecodable": "Pixel data that cannot be decoded, images: {images}.",
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
    "volume_not_finite": "Voxels that are no finite number: {voxels}.",
}

# What was repaired or is peculiar in an accepted series.
NOTE_SENTENCES = {
    "duplicates_dropped": "Images that repeat another exactly and were dropped: {images}.",
    "others_dropped": "Objects in the series that are no axial CT images and were left out: {images}.",
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
        "Places that may be nodules but were left out, beyond the best {limit} (set by model.max_candidates): {left}."
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
    return Reason(QUARANTINED, code, _fill(FAULT_SENTENCES, code, values))


def refuse(code: str, **values: float | str) -> ItemRefused:
    """Return the error that stops one item with a fault; the caller raises it."""
    return ItemRefused(code, _fill(FAULT_SENTENCES, code, values))


def note(code: str, **values: float | str) -> tuple[str, str]:
    """Return (code, sentence) for `Volume.notes`."""
    return code, _fill(NOTE_SENTENCES | LIMIT_SENTENCES, code, values)
