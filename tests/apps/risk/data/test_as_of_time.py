"""As-of times: what a text means in a zone, how it is compared, and the name that it gives a partition."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

from apps.risk.data.as_of_time import AsOf, last_at, parse_as_of
from core.errors import InputError

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("text", "zone", "wall", "label"),
    [
        ("2021-02-23", None, "2021-02-23T23:59:59.999999", "2021-02-23"),
        ("2021-02-23", BERLIN, "2021-02-23T23:59:59.999999", "2021-02-23"),
        ("20210223", None, "2021-02-23T23:59:59.999999", "2021-02-23"),
        (" 2021-02-23 ", None, "2021-02-23T23:59:59.999999", "2021-02-23"),
        ("2021-02-23T23:59:59.999999", None, "2021-02-23T23:59:59.999999", "2021-02-23"),
        ("2021-02-23T17:30", None, "2021-02-23T17:30", "2021-02-23T17-30-00"),
        ("2021-02-23 17:30:00.25", None, "2021-02-23T17:30:00.25", "2021-02-23T17-30-00.250000"),
        ("2021-02-23T00:00", None, "2021-02-23T00:00", "2021-02-23T00-00-00"),
        ("2021-02-23T17:30Z", BERLIN, "2021-02-23T18:30", "2021-02-23T18-30-00"),
        ("2021-02-23 17:30 UTC", BERLIN, "2021-02-23T18:30", "2021-02-23T18-30-00"),
        ("2021-02-23 17:30 -0500", BERLIN, "2021-02-23T23:30", "2021-02-23T23-30-00"),
        ("2024-10-27T02:30+02:00", BERLIN, "2024-10-27T02:30", "2024-10-27T02-30-00"),
        ("2024-10-27T02:30+01:00", BERLIN, "2024-10-27T02:30", "2024-10-27T02-30-00+0100"),
        ("2024-11-03T06:30Z", "America/New_York", "2024-11-03T01:30", "2024-11-03T01-30-00-0500"),
    ],
)
def test_a_text_means_an_instant_and_names_a_partition(
    text: str, zone: str | None, wall: str, label: str
) -> None:
    now = parse_as_of(text, zone)
    assert (now.wall, now.label) == (np.datetime64(wall, "us"), label)
    assert now.day == datetime.date.fromisoformat(label[:10])
    assert parse_as_of(now.text, zone) == now, "its text means the same instant"


def test_an_instant_is_that_of_the_zone() -> None:
    assert parse_as_of("2021-02-23T17:30").instant is None
    assert parse_as_of("2021-07-01T17:30", BERLIN).instant == np.datetime64("2021-07-01T15:30")
    first, second = (parse_as_of(f"2024-10-27T02:30+0{hours}:00", BERLIN) for hours in (2, 1))
    assert first.wall == second.wall
    assert first.instant == np.datetime64("2024-10-27T00:30")
    assert second.instant == np.datetime64("2024-10-27T01:30")
    assert first != second


def test_the_end_of_a_day_whose_midnight_comes_twice_is_the_second_one() -> None:
    assert parse_as_of("2023-10-26", "Africa/Cairo").instant == np.datetime64("2023-10-26T21:59:59.999999")


def test_the_last_time_of_data_in_a_doubled_hour_is_its_second_one() -> None:
    wall = datetime.datetime(2024, 10, 27, 2, 30)
    assert last_at(wall, BERLIN).label == "2024-10-27T02-30-00+0100"
    assert last_at(wall) == AsOf(wall)


@pytest.mark.parametrize(
    ("text", "zone", "code", "sentence"),
    [
        (
            "2024-02-30",
            None,
            "as_of_value",
            "as_of=2024-02-30 is not a valid date: wanted one such as 2024-06-30, which means the end",
        ),
        ("2024-02", None, "as_of_value", "is not a valid date"),
        ("2024", None, "as_of_value", "is not a valid date"),
        ("", None, "as_of_value", "is not a valid date"),
        ("now", None, "as_of_value", "is not a valid date"),
        ("1706659200", None, "as_of_value", "is not a valid date"),
        ("2024-01-31T25:00", None, "as_of_value", "is not a valid date"),
        ("２０２４-01-31", None, "as_of_value", "is not a valid date"),
        ("2024-01-31+01:00", BERLIN, "as_of_value", "is not a valid date"),
        ("0001-01-01T00:00+05:00", BERLIN, "as_of_value", "is not a valid date"),
        ("9999-12-31", "America/New_York", "as_of_value", "is not a valid date"),
        (
            "2024-06-30T00:00+02:00",
            None,
            "as_of_offset",
            "has an offset: leave it out, or name by data.zone=",
        ),
        ("2024-03-31T02:30", BERLIN, "as_of_skipped", "does not exist in Europe/Berlin"),
        (
            "2024-10-27T02:30",
            BERLIN,
            "as_of_twice",
            r"comes twice in Europe/Berlin, .* as_of=2024-10-27T02:30:00\+02:00 or as_of=2024-10-27T02:30:00\+01:00",
        ),
    ],
)
def test_what_is_no_single_instant_is_refused(text: str, zone: str | None, code: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        parse_as_of(text, zone)
    assert caught.value.code == code


def test_labels_come_in_the_order_of_time_and_read_back_as_partitions(tmp_path: object) -> None:
    hours = [f"2024-10-2{6 + hour // 24}T{hour % 24:02d}:00Z" for hour in range(48)]
    labels = [parse_as_of(text, BERLIN).label for text in hours]
    assert len(set(labels)) == 48, "the doubled hour gives two"
    assert labels == sorted(labels)
    for label in labels:
        pa.parquet.write_to_dataset(
            pa.table({"as_of": [label], "x": [1]}), f"{tmp_path}", partition_cols=["as_of"]
        )
    read = pa.dataset.dataset(f"{tmp_path}", partitioning="hive").to_table()["as_of"].to_pylist()
    assert sorted(read) == labels
