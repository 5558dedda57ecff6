"""The `filter` of a list request: a Filter of KFP v1beta1 as JSON. A row must match every predicate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import unquote_plus

from runwright.kube.objects import as_time
from runwright.service.contract.filter_pb2 import Filter, Predicate
from runwright.service.errors import ServiceError, invalid_argument
from runwright.service.index import Row, Value
from runwright.service.messages import UnreadableMessageError, read_json
from runwright.service.present import EPOCH

Test = Callable[[Row], bool]

MAX_PREDICATES = 50
MAX_FILTER = 20_000
"""Characters of a filter."""

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
    if len(text) > MAX_FILTER:
        raise invalid_argument(f"filter: expected {MAX_FILTER} characters at most, found {len(text)}")
    message = decode_filter(text)
    if len(message.predicates) > MAX_PREDICATES:
        raise invalid_argument(f"filter: expected {MAX_PREDICATES} predicates at most, found {len(message.predicates)}")
    try:
        tests = [compile_predicate(one, fields) for one in message.predicates]
    except ServiceError as error:
        raise error.within("failed to parse valid filter") from error
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda row: all(test(row) for test in tests)


def decode_filter(text: str) -> Filter:
    """Decode a filter. KFP's own UI percent-encodes it twice (KFP #1149), so the decoded text is tried too."""
    problem: Exception | None = None
    for form in dict.fromkeys((text, unquote_plus(text))):
        found = Filter()
        try:
            read_json(form, found, ignore_unknown=False)
            return found
        except UnreadableMessageError as error:
            problem = problem or error
    raise invalid_argument(f"failed to parse valid filter from {text[:200]!r}: {problem}")


def compile_predicate(predicate: Predicate, fields: Mapping[str, type]) -> Test:
    """Compile a predicate to a test of rows. Raises ServiceError."""
    key, op, kind = predicate.key, predicate.op, predicate.WhichOneof("value")
    if key not in fields:
        raise invalid_argument(
            f"no support for filtering on unrecognized field {key!r}; expected one of {', '.join(fields)}"
        )
    if kind is None:
        raise invalid_argument(f"no value set for predicate on key {key!r}")
    is_number = fields[key] is int
    match op:
        case Predicate.IN:
            if kind not in ("int_values", "long_values", "string_values"):
                raise invalid_argument(
                    f"predicate IN on key {key!r}: expected int_values, long_values or string_values, found {kind}"
                )
            values = list(getattr(predicate, kind).values)
            wanted_in = frozenset(convert_value(key, value, is_number) for value in values)
            return lambda row: row.value(key) in wanted_in
        case Predicate.IS_SUBSTRING:
            if kind != "string_value":
                raise invalid_argument(f"predicate IS_SUBSTRING on key {key!r}: expected string_value, found {kind}")
            part = predicate.string_value.casefold()
            return lambda row: part in str(row.value(key)).casefold()
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
