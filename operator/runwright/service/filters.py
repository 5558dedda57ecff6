"""The `filter` of a list request: a Filter of KFP v1beta1 as JSON. A row must match every predicate.

The limits below keep the test of one row within a millisecond or two; `index` searches in slices of time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import cast
from urllib.parse import unquote_plus

from runwright.kube.objects import as_mapping, as_time
from runwright.service.contract.filter_pb2 import Filter, Predicate
from runwright.service.errors import ServiceError, invalid_argument
from runwright.service.messages import UnreadableMessageError, read_json
from runwright.service.order import Row, Value
from runwright.service.paging import check_size
from runwright.service.present import EPOCH

Test = Callable[[Row], bool]

MAX_FILTER = 8 * 1024
"""Bytes of a filter in UTF-8. A page token contains the filter, and both fit into one request line (`paging.MAX_LINE`)."""

MAX_PREDICATES = 50
MAX_SUBSTRINGS = 10
"""Predicates with IS_SUBSTRING in one filter."""

MAX_SUBSTRING = 256
"""Characters of the value of IS_SUBSTRING: a search costs up to the product of both lengths."""

COMPARE: Mapping[int, Callable[[str | int, str | int], bool]] = {
    Predicate.EQUALS: lambda found, wanted: found == wanted,
    Predicate.NOT_EQUALS: lambda found, wanted: found != wanted,
    Predicate.GREATER_THAN: lambda found, wanted: found > wanted,  # type: ignore[operator]
    Predicate.GREATER_THAN_EQUALS: lambda found, wanted: found >= wanted,  # type: ignore[operator]
    Predicate.LESS_THAN: lambda found, wanted: found < wanted,  # type: ignore[operator]
    Predicate.LESS_THAN_EQUALS: lambda found, wanted: found <= wanted,  # type: ignore[operator]
}


def parse_filter(text: str, fields: Mapping[str, type]) -> Test | None:
    """Compile a filter to a test of rows; None for a filter without predicates. `fields` are those it may name, by type.

    Raises ServiceError (INVALID_ARGUMENT).
    """
    if not text:
        return None
    check_size("filter", text, MAX_FILTER, "use fewer or shorter values, or several lists")
    try:
        tests, parts = compile_predicates(decode_filter(text).predicates, fields)
    except ServiceError as error:
        raise error.within("failed to parse valid filter") from error
    # Substrings last: most rows fail a cheaper test. A field is folded once for all of them.
    tests += [contains_all(key, wanted) for key, wanted in parts.items()]
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda row: all(test(row) for test in tests)


def check_number(text: str) -> None:
    """Raise ServiceError for JSON with too many predicates: protobuf's library takes milliseconds for hundreds of them."""
    try:
        predicates: object = as_mapping(json.loads(text)).get("predicates")
    except (ValueError, RecursionError):
        return
    number = len(cast("list[object]", predicates)) if isinstance(predicates, list) else 0
    if number > MAX_PREDICATES:
        raise invalid_argument(
            f"filter.predicates: expected {MAX_PREDICATES} at most, found {number}; use IN for several values of a field"
        )


def compile_predicates(
    predicates: Iterable[Predicate], fields: Mapping[str, type]
) -> tuple[list[Test], dict[str, list[str]]]:
    """The tests of all predicates but those with IS_SUBSTRING, and the values of these by field. Raises ServiceError."""
    tests: list[Test] = []
    parts: dict[str, list[str]] = {}
    for predicate in predicates:
        key, kind = predicate.key, predicate_value(predicate, fields)
        if predicate.op == Predicate.IS_SUBSTRING:
            parts.setdefault(key, []).append(substring_value(predicate, kind))
        else:
            tests.append(compile_predicate(predicate, kind, is_number=fields[key] is int))
    if (found := sum(map(len, parts.values()))) > MAX_SUBSTRINGS:
        raise invalid_argument(
            f"filter.predicates: expected {MAX_SUBSTRINGS} with IS_SUBSTRING at most, found {found}; filter the rest of them "
            f"from the result"
        )
    return tests, parts


def decode_filter(text: str) -> Filter:
    """Decode a filter. KFP's own UI percent-encodes it twice (KFP #1149), so the decoded text is tried too."""
    problem: Exception | None = None
    for form in dict.fromkeys((text, unquote_plus(text))):
        found = Filter()
        check_number(form)
        try:
            read_json(form, found, ignore_unknown=False)
            return found
        except UnreadableMessageError as error:
            problem = problem or error
    raise invalid_argument(f"failed to parse valid filter from {text[:200]!r}: {problem}")


def predicate_value(predicate: Predicate, fields: Mapping[str, type]) -> str:
    """The name of the predicate's value field. Raises ServiceError for an unknown key, and for a predicate without a value."""
    if predicate.key not in fields:
        raise invalid_argument(
            f"no support for filtering on unrecognized field {predicate.key[:100]!r}; expected one of {', '.join(fields)}"
        )
    kind = predicate.WhichOneof("value")
    if kind is None:
        raise invalid_argument(f"no value set for predicate on key {predicate.key!r}")
    return kind


def substring_value(predicate: Predicate, kind: str) -> str:
    """The value of a predicate with IS_SUBSTRING, without case. Raises ServiceError."""
    what, value = f"predicate IS_SUBSTRING on key {predicate.key!r}", predicate.string_value
    if kind != "string_value":
        raise invalid_argument(f"{what}: expected string_value, found {kind}")
    if len(value) > MAX_SUBSTRING:
        raise invalid_argument(
            f"{what}: expected {MAX_SUBSTRING} characters at most, found {len(value)}; use a shorter part of the text"
        )
    return value.casefold()


def contains_all(key: str, parts: list[str]) -> Test:
    """A test whether the field contains all these texts, which have no case."""

    def test(row: Row) -> bool:
        text = str(row.value(key)).casefold()
        return all(part in text for part in parts)

    return test


def compile_predicate(predicate: Predicate, kind: str, *, is_number: bool) -> Test:
    """Compile a predicate with another op than IS_SUBSTRING to a test of rows. Raises ServiceError."""
    key, op = predicate.key, predicate.op
    match op:
        case Predicate.IN:
            if kind not in ("int_values", "long_values", "string_values"):
                raise invalid_argument(
                    f"predicate IN on key {key!r}: expected int_values, long_values or string_values, found {kind}"
                )
            values = list(getattr(predicate, kind).values)
            wanted_in = frozenset(convert_value(key, value, is_number) for value in values)
            return lambda row: row.value(key) in wanted_in
        case _ if op in COMPARE:
            wanted, compare = convert_value(key, scalar_value(predicate, kind), is_number), COMPARE[op]
            return lambda row: compare(value_or_zero(row.value(key)), wanted)
        case _:
            raise invalid_argument(f"predicate on key {key!r}: expected an op, found {op}")


def value_or_zero(value: Value) -> str | int:
    """The value of a field, which every row has."""
    return value if isinstance(value, str | int) else 0


def scalar_value(predicate: Predicate, kind: str) -> str | int:
    """The value to compare with. Raises ServiceError."""
    match kind:
        case "int_value":
            return predicate.int_value
        case "long_value":
            return predicate.long_value
        case "string_value":
            return predicate.string_value
        case "timestamp_value":
            return predicate.timestamp_value.seconds
        case _:
            raise invalid_argument(f"predicate on key {predicate.key!r}: expected one value, found {kind}")


def convert_value(key: str, value: str | int, is_number: bool) -> str | int:
    """Convert a value to the field's type: seconds since 1970 for a time, else text. Raises ServiceError."""
    if not is_number:
        return str(value)
    if isinstance(value, int):
        return value
    if value.removeprefix("-").isdecimal() and len(value) < 20:
        return int(value)
    at = as_time(value)
    if at is None:
        raise invalid_argument(
            f"predicate on key {key!r}: expected a time (RFC 3339) or seconds since 1970, found {value[:60]!r}"
        )
    return int((at - EPOCH).total_seconds())
