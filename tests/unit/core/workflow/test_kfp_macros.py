"""Macros in parameter values are replaced as in KFP 1.8.22."""

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.core.workflow.kfp_macros import go_format, replace_macros, strftime

AFTERNOON = datetime(2026, 3, 5, 15, 4, 9, tzinfo=UTC)  # a Thursday
MIDNIGHT = datetime(2000, 12, 31, 0, 0, 0, tzinfo=UTC)  # a Sunday

# Go 1.24 gave these.
GO = [
    ("20060102150405", "20260305150409", "20001231000000"),
    ("2006-01-02T15:04:05Z07:00", "2026-03-05T15:04:09Z", "2000-12-31T00:00:00Z"),
    ("Jan _2 06 3:04PM pm", "Mar  5 26 3:04PM pm", "Dec 31 00 12:00AM am"),
    ("January Monday Mon Janx Monx", "March Thursday Thu Janx Monx", "December Sunday Sun Janx Monx"),
    ("MST -0700 -07:00 -07", "UTC +0000 +00:00 +00", "UTC +0000 +00:00 +00"),
    ("002 __2 _2006", "064  64 _2026", "366 366 _2000"),
    ("05.000 05.999 .00a", "09.000 09 .00a", "00.000 00 .00a"),
]


@pytest.mark.parametrize(("layout", "afternoon", "midnight"), GO)
def test_go_layouts(layout: str, afternoon: str, midnight: str) -> None:
    assert go_format(AFTERNOON, layout) == afternoon
    assert go_format(MIDNIGHT, layout) == midnight


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("%Y-%m-%d %H:%M:%S", "2026-03-05 15:04:09"),
        ("%A %a %B %b %h", "Thursday Thu March Mar Mar"),
        ("%c|%D|%F|%R|%T|%X|%x", "Thu Mar  5 15:04:09 2026|03/05/26|2026-03-05|15:04|15:04:09|15:04:09|03/05/26"),
        ("%e|%j|%k|%l|%I|%p|%r", " 5|064|15| 3|03|PM|03:04:09 PM"),
        ("%C %y %v %Z %z %%", "20 26  5-Mar-2026 UTC +0000 %"),
        ("%s", "1772723049"),
        ("%V %U %W %u %w", "10 09 09 4 4"),
        ("%n%t", "\n\t"),
        ("%Q", None),
        ("plain", "plain"),
    ],
)
def test_strftime(layout: str, expected: str | None) -> None:
    assert strftime(AFTERNOON, layout) == expected


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1)))
def test_week_numbers_are_those_of_the_c_library(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    assert strftime(moment, "%U %W %V %j %u %w") == moment.strftime("%U %W %V %j %u %w")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("run-[[RunUUID]]", "run-42"),
        ("[[CurrentTime]]", "20260305150409"),
        ("gs://b/[[CurrentTime.2006/01]]/[[RunUUID]]", "gs://b/2026/03/42"),
        ("{{$.currentTime.strftime('%Y%m')}}", "202603"),
        ("{{$.currentTime.strftime('%Q')}}", "{{$.currentTime.strftime('%Q')}}"),
        ("[[ScheduledTime]] [[Index]]", "[[ScheduledTime]] [[Index]]"),
        ("[[1, 2], [3, 4]]", "[[1, 2], [3, 4]]"),
        (
            "{{workflow.name}} {{$.scheduledTime.strftime('%Y')}}",
            "{{workflow.name}} {{$.scheduledTime.strftime('%Y')}}",
        ),
    ],
)
def test_macros(value: str, expected: str) -> None:
    assert replace_macros(value, "42", AFTERNOON) == expected


def test_without_a_time_its_macros_stay() -> None:
    assert replace_macros("[[CurrentTime]] [[RunUUID]]", "42", None) == "[[CurrentTime]] 42"


PATTERN = re.compile(r"\[\[(.*?)\]\]|\{\{\$\.(.*?)\}\}")
PIECES = st.lists(
    st.sampled_from(["[[", "]]", "[", "]", "{{$.", "{{", "}}", "}", "\n", "\r", "x", "RunUUID"]), max_size=12
)


@given(PIECES.map("".join))
def test_macros_are_those_of_the_regular_expression_of_kfp(value: str) -> None:
    expected = PATTERN.sub(lambda found: "42" if found.group() == "[[RunUUID]]" else found.group(), value)
    assert replace_macros(value, "42", AFTERNOON) == expected


def steps(work: Callable[[], object]) -> int:
    """Lines of Python that a call executes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


class Searched(str):
    """A text that counts the characters that `find` looks at."""

    characters = 0

    def find(self, sub: str, start: int = 0, end: int | None = None) -> int:
        end = len(self) if end is None else end
        found = super().find(sub, start, end)
        Searched.characters += (end if found < 0 else found) - start
        return found


@given(
    st.lists(st.sampled_from(["[[", "{{$.", "[", "{", "%", "]", "]]", "}}", "\n", "'"]), min_size=1, max_size=4).map(
        "".join
    )
)
def test_work_is_linear_in_the_length(unit: str) -> None:
    def work(times: int) -> int:
        Searched.characters = 0
        value = Searched(unit * times)
        return steps(lambda: replace_macros(value, "42", AFTERNOON)) + Searched.characters

    assert work(800) <= 2.5 * work(400) + 200
