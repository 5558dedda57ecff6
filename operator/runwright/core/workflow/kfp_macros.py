"""Replaces the macros of Kubeflow Pipelines in parameter values (1.8.22, one-off runs).

`[[RunUUID]]`, `[[CurrentTime]]`, `[[CurrentTime.<Go layout>]]` and `{{$.currentTime.strftime('<format>')}}`. The macros
of recurring runs (`[[ScheduledTime]]`, `[[Index]]`) and unsupported formats are not replaced. Times are UTC, in whole
seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache

_CLOSERS = {"[[": "]]", "{{$.": "}}"}
_OPENER = re.compile(r"\[\[|\{\{\$\.")
_GO_PREFIX = "[[CurrentTime."
_STRFTIME_PREFIX, _STRFTIME_SUFFIX = "{{$.currentTime.strftime('", "')}}"

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def replace_macros(value: str, run_id: str, now: datetime | None) -> str:
    """Replaces the macros in `value`; not those of the time if `now` is None."""

    def substitute(macro: str) -> str:
        if macro == "[[RunUUID]]":
            return run_id or macro
        if now is None:
            return macro
        if macro == "[[CurrentTime]]":
            return go_format(now, "20060102150405")
        if macro.startswith(_GO_PREFIX):
            return go_format(now, macro.removeprefix(_GO_PREFIX).removesuffix("]]"))
        if macro.startswith(_STRFTIME_PREFIX):
            formatted = strftime(now, macro.removeprefix(_STRFTIME_PREFIX).removesuffix(_STRFTIME_SUFFIX))
            return macro if formatted is None else formatted
        return macro

    parts: list[str] = []
    after = 0
    for start, end in _macros(value):
        parts += (value[after:start], substitute(value[start:end]))
        after = end
    return "".join(parts) + value[after:]


def _macros(value: str) -> Iterator[tuple[int, int]]:
    """Start and end of each macro: from an opener to the next closer in the same line.

    Linear in the length of `value`: an opener without a closer ends the search for its kind in that line. A regular
    expression would search the rest of the line for each of them.
    """
    line_end, unclosed = -1, set[str]()
    position = 0
    while opener := _OPENER.search(value, position):
        start, position = opener.start(), opener.start() + 1
        if start > line_end:
            line_end = value.find("\n", start)
            line_end = len(value) if line_end < 0 else line_end
            unclosed.clear()
        if opener.group() in unclosed:
            continue
        closer = value.find(_CLOSERS[opener.group()], opener.end(), line_end)
        if closer < 0:
            unclosed.add(opener.group())
        else:
            position = closer + 2
            yield start, position


def go_format(now: datetime, layout: str) -> str:
    """Formats `now` (UTC) by a layout of Go's `time.Format` (Go 1.22)."""
    return _GO_ELEMENT.sub(lambda match: _go_element(match.group(), now), layout)


def strftime(now: datetime, layout: str) -> str | None:
    """Formats `now` (UTC) by a strftime format; None if the format has a verb that KFP's library does not support.

    The verbs are those of lestrrat-go/strftime and `%s` for Unix seconds; names of days and months are English.
    """
    parts = _VERB.split(layout)
    for index in range(1, len(parts), 2):
        formatted = _strftime_verb(parts[index], now)
        if formatted is None:
            return None
        parts[index] = formatted
    return "".join(parts)


@lru_cache(maxsize=128)
def _strftime_verb(verb: str, now: datetime) -> str | None:
    formatter = _STRFTIME.get(verb)
    return None if formatter is None else formatter(now)


# Go matches the longest element at each position, in this order.
_GO_ELEMENT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|002|0[1-6]|15|1|2006|2|_2006|__2|_2|3|4|5|PM|pm"
    r"|[-Z]07:00:00|[-Z]070000|[-Z]07:00|[-Z]0700|[-Z]07|[.,](?:0+|9+)(?![0-9])"
)
_GO: Mapping[str, Callable[[datetime], str]] = {
    "January": lambda t: _MONTHS[t.month - 1],
    "Jan": lambda t: _MONTHS[t.month - 1][:3],
    "Monday": lambda t: _DAYS[t.weekday()],
    "Mon": lambda t: _DAYS[t.weekday()][:3],
    "MST": lambda t: "UTC",
    "2006": lambda t: f"{t.year:04}",
    "_2006": lambda t: f"_{t.year:04}",
    "06": lambda t: f"{t.year % 100:02}",
    "01": lambda t: f"{t.month:02}",
    "1": lambda t: f"{t.month}",
    "002": lambda t: f"{_day_of_year(t):03}",
    "__2": lambda t: f"{_day_of_year(t):3}",
    "02": lambda t: f"{t.day:02}",
    "_2": lambda t: f"{t.day:2}",
    "2": lambda t: f"{t.day}",
    "15": lambda t: f"{t.hour:02}",
    "03": lambda t: f"{_hour12(t):02}",
    "3": lambda t: f"{_hour12(t)}",
    "04": lambda t: f"{t.minute:02}",
    "4": lambda t: f"{t.minute}",
    "05": lambda t: f"{t.second:02}",
    "5": lambda t: f"{t.second}",
    "PM": lambda t: "PM" if t.hour >= 12 else "AM",
    "pm": lambda t: "pm" if t.hour >= 12 else "am",
}


def _go_element(element: str, now: datetime) -> str:
    if element in _GO:
        return _GO[element](now)
    if element[0] == "Z":
        return "Z"
    if element[0] == "-":
        return "+" + element[1:].replace("7", "0")
    # A fraction of a second is zero here: Go prints zeros for `0` and nothing for `9`.
    return element if element[1] == "0" else ""


def _day_of_year(now: datetime) -> int:
    return now.timetuple().tm_yday


def _hour12(now: datetime) -> int:
    return now.hour % 12 or 12


def _week(now: datetime, first_weekday: int) -> str:
    """Week of the year; weeks start on `first_weekday` (Monday is 0), and the days before the first one are week 0."""
    return f"{(_day_of_year(now) + 6 - (now.weekday() - first_weekday) % 7) // 7:02}"


_VERB = re.compile(r"%(.)", re.DOTALL)
_STRFTIME: Mapping[str, Callable[[datetime], str]] = {
    "A": lambda t: go_format(t, "Monday"),
    "a": lambda t: go_format(t, "Mon"),
    "B": lambda t: go_format(t, "January"),
    "b": lambda t: go_format(t, "Jan"),
    "C": lambda t: f"{t.year // 100:02}",
    "c": lambda t: go_format(t, "Mon Jan _2 15:04:05 2006"),
    "D": lambda t: go_format(t, "01/02/06"),
    "d": lambda t: go_format(t, "02"),
    "e": lambda t: go_format(t, "_2"),
    "F": lambda t: go_format(t, "2006-01-02"),
    "H": lambda t: go_format(t, "15"),
    "h": lambda t: go_format(t, "Jan"),
    "I": lambda t: go_format(t, "03"),
    "j": lambda t: go_format(t, "002"),
    "k": lambda t: f"{t.hour:2}",
    "l": lambda t: f"{_hour12(t):2}",
    "M": lambda t: go_format(t, "04"),
    "m": lambda t: go_format(t, "01"),
    "n": lambda t: "\n",
    "p": lambda t: go_format(t, "PM"),
    "R": lambda t: go_format(t, "15:04"),
    "r": lambda t: go_format(t, "03:04:05 PM"),
    "S": lambda t: go_format(t, "05"),
    "s": lambda t: str(int(t.timestamp())),
    "T": lambda t: go_format(t, "15:04:05"),
    "t": lambda t: "\t",
    "U": lambda t: _week(t, 6),
    "u": lambda t: str(t.isoweekday()),
    "V": lambda t: f"{t.isocalendar().week:02}",
    "v": lambda t: go_format(t, "_2-Jan-2006"),
    "W": lambda t: _week(t, 0),
    "w": lambda t: str(t.isoweekday() % 7),
    "X": lambda t: go_format(t, "15:04:05"),
    "x": lambda t: go_format(t, "01/02/06"),
    "Y": lambda t: go_format(t, "2006"),
    "y": lambda t: go_format(t, "06"),
    "Z": lambda t: "UTC",
    "z": lambda t: "+0000",
    "%": lambda t: "%",
}
