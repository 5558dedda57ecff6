from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.kube import objects
from runwright.kube.objects import Key, as_count, as_mapping, as_text, as_time, key_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["metadata", "labels", "a"]), inner),
    max_leaves=8,
)

ACCESSORS = [
    objects.metadata_of,
    objects.spec_of,
    objects.status_of,
    objects.labels_of,
    objects.annotations_of,
    objects.uid_of,
    objects.version_of,
    objects.name_of,
    objects.namespace_of,
    objects.key_of,
]


@pytest.mark.parametrize("accessor", ACCESSORS, ids=lambda one: one.__name__)
@given(body=st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), JSON))
def test_an_odd_object_never_raises(accessor: Any, body: dict[str, Any]) -> None:
    accessor(body)


def test_accessors_read_metadata() -> None:
    metadata = {"namespace": "n", "name": "a", "uid": "u", "resourceVersion": "7", "labels": {"l": "1"}}
    body = {"metadata": {**metadata, "annotations": {"m": "2"}}, "spec": {"s": 1}, "status": {"t": 2}}
    assert key_of(body) == Key("n", "a") and str(key_of(body)) == "n/a"
    assert (objects.uid_of(body), objects.version_of(body)) == ("u", "7")
    assert (objects.labels_of(body), objects.annotations_of(body)) == ({"l": "1"}, {"m": "2"})
    assert (objects.spec_of(body), objects.status_of(body)) == ({"s": 1}, {"t": 2})


@pytest.mark.parametrize("value", [None, 3, "text", ["a"]])
def test_what_is_no_mapping_is_an_empty_one(value: object) -> None:
    assert as_mapping(value) == {}


@pytest.mark.parametrize("value", [None, 3, {}, ["a"]])
def test_what_is_no_text_is_an_empty_one(value: object) -> None:
    assert as_text(value) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-28T12:00:00Z", datetime(2026, 11, 28, 12, tzinfo=UTC)),
        ("2026-11-28T14:00:00+02:00", datetime(2026, 11, 28, 12, tzinfo=UTC)),
        ("2026-11-28T12:00:00", datetime(2026, 11, 28, 12, tzinfo=UTC)),
        ("yesterday", None),
        ("0001-01-01T00:00:00+23:00", None),
        (7, None),
    ],
)
def test_times_are_utc(value: object, expected: datetime | None) -> None:
    assert as_time(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("0", 0), ("12", 12), ("-1", None), ("1" * 19, None), (3, None), ("", None)]
)
def test_counts_are_whole_numbers_in_text(value: object, expected: int | None) -> None:
    assert as_count(value) == expected


@given(st.datetimes(timezones=st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours)))))
def test_every_time_is_converted_to_utc(at: datetime) -> None:
    found = as_time(at.isoformat())
    assert found is None or (found == at and found.tzinfo is UTC)
