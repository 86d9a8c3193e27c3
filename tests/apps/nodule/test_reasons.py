"""The table of reasons: stable codes, whole sentences, without text from a file."""

from __future__ import annotations

import re
import string

import pytest

from apps.nodule import reasons

TABLES = {
    "accepted": reasons.ACCEPTED_SENTENCES,
    "skip": reasons.SKIP_SENTENCES,
    "fault": {**reasons.refuse.sentences, **reasons.UNDECODABLE.sentences},
    "note": reasons.NOTE_SENTENCES,
    "limit": reasons.LIMIT_SENTENCES,
}


def test_codes_are_frozen() -> None:
    codes = {name: sorted(table) for name, table in TABLES.items()}
    assert codes == {
        "accepted": ["ct_series", "ct_volume"],
        "skip": [
            "localiser", "no_image_object", "not_an_image", "not_axial", "not_ct", "not_hounsfield", "projection",
            "secondary_capture", "too_coarse", "too_few_slices", "too_short",
        ],
        "fault": [
            "bad_rescale", "changed_since_submission",
            "damaged_file", "duplicates_differ", "empty_file", "interleaved_grids", "internal_fault",
            "missing_slices",
            "mixed_frames_of_reference",
            "mixed_orientations", "mixed_patients", "mixed_sizes", "mixed_spacings", "mixed_studies",
            "no_geometry", "no_pixel_data", "no_uid", "no_vessels", "not_dicom", "out_of_memory", "shear_too_large",
            "tilt_too_large", "too_large", "truncated",
            "undecodable",
            "uneven_positions", "uneven_spacing", "unknown_syntax", "unreadable_file", "unreadable_volume",
            "unsupported_pixels", "values_not_hu", "volume_axes", "volume_colour", "volume_geometry",
            "volume_not_finite",
            "voxels_outside",
        ],
        "note": [
            "body_part_differs", "chest_without_lung",
            "directions_straightened", "duplicates_dropped",
            "frame_of_reference_absent", "frames_of_reference", "gantry_tilt", "gas_cavity",
            "interleaved",
            "monochrome1_inverted", "name_not_content", "no_orientation", "others_dropped", "padding_ignored",
            "patient_size_differs", "rescale_type", "series_split", "sheared", "small_body", "two_placements",
        ],
        "limit": ["candidate_limit", "no_lung", "no_segmentation", "not_searched", "thick_slices"],
    }  # fmt: skip


def test_codes_of_the_command_are_frozen() -> None:
    assert sorted(reasons.BAD_INPUT.sentences) == [
        "csv_column", "csv_empty", "csv_encoding", "csv_missing", "csv_no_series", "csv_repeated_series", "csv_syntax",
        "csv_unknown_series", "csv_unreadable", "csv_value", "csv_value_empty", "csv_value_missing", "input_empty",
        "input_missing", "no_nodules", "no_own_data", "no_own_nodules", "no_real_data", "nothing_to_train_on",
        "output_is_input", "submission_missing", "weights_ambiguous", "weights_changed",
        "weights_damaged", "weights_mismatch", "weights_missing",
        "weights_not_in_folder", "weights_not_state_dict",
        "weights_torchscript", "weights_unfit", "weights_unreadable",
    ]  # fmt: skip
    assert sorted(reasons.BAD_CONFIG.sentences) == [
        "data_folder_incomplete", "overlap_retinanet_only", "tile_not_exported", "tile_size", "train_compact_only",
        "weights_needed",
    ]  # fmt: skip


def test_no_code_means_two_things() -> None:
    tables = [*TABLES.values(), reasons.BAD_INPUT.sentences, reasons.BAD_CONFIG.sentences]
    codes = [code for table in tables for code in table]
    assert len(codes) == len(set(codes)) == 112


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_each_sentence_is_one_sentence_with_known_fields(table: dict[str, str]) -> None:
    for code, sentence in table.items():
        fields = [field for _, field, _, _ in string.Formatter().parse(sentence) if field]
        text = sentence.format(**dict.fromkeys(fields, 3))
        assert re.fullmatch(r"[A-Z].*\.", text), code
        assert ". " not in text.replace("3.", ""), code


def test_verdicts_carry_their_status() -> None:
    assert reasons.accept("ct_series", slices=30).status == "accepted"
    assert reasons.skip("localiser").status == "skipped"
    assert reasons.fault("empty_file").status == "quarantined"
    assert reasons.note("gantry_tilt", degrees=12.34) == (
        "gantry_tilt",
        "The gantry was tilted by 12.3 degrees; positions follow the tilt exactly.",
    )


def test_refuse_makes_the_error_that_sets_one_item_aside() -> None:
    error = reasons.UNDECODABLE("undecodable", images=4)
    assert (error.code, error.sentence) == ("undecodable", "Pixel data that cannot be decoded, images: 4.")
    assert error.exit_code == 4
