"""Checks of a field's type, which raise Refused with the field's path, the expected and the found type."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, cast

from runwright.core.records import Refusal
from runwright.kube.names import is_object_name

MAX_MESSAGE = 1024
"""Characters of a refusal's message; a condition's message may have 2048."""

_MAX_NAMES = 20
_MAX_NAME_SHOWN = 80


class Refused(Exception):  # noqa: N818 - a result, not an error of the program
    """The Workflow cannot be built. `build_workflow` catches it."""

    def __init__(self, reason: str, message: str, *, heals: bool = False) -> None:
        super().__init__(message)
        cut = message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"
        self.refusal = Refusal(reason=reason, message=cut, heals=heals)


@contextmanager
def mark_healing(heals: bool) -> Generator[None]:
    """Marks refusals raised inside the block as healing, if `heals` is true."""
    try:
        yield
    except Refused as refused:
        raise Refused(refused.refusal.reason, refused.refusal.message, heals=heals or refused.refusal.heals) from None


def json_type(value: Any) -> str:
    """The type of a JSON value, for a message."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "a mapping"


def expect_mapping(value: Any, path: str, reason: str = "SpecInvalid") -> dict[str, Any]:
    """`value` as a mapping; an empty one for None.

    Raises:
        Refused: it is of another type.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(reason, f"{path}: expected a mapping, found {json_type(value)}")
    return cast("dict[str, Any]", value)


def expect_list(value: Any, path: str, reason: str = "SpecInvalid") -> list[Any]:
    """`value` as a list; an empty one for None.

    Raises:
        Refused: it is of another type.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise Refused(reason, f"{path}: expected a list, found {json_type(cast('object', value))}")
    return cast("list[Any]", value)


def expect_text(value: Any, path: str, reason: str = "SpecInvalid") -> str:
    """`value` as a string; an empty one for None.

    Raises:
        Refused: it is of another type.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refused(reason, f"{path}: expected a string, found {json_type(value)}")
    return value


def expect_object_name(name: str, path: str) -> str:
    """`name`, if it is a valid object name (a DNS-1123 subdomain).

    Raises:
        Refused: it is invalid, so no such object can exist.
    """
    if not is_object_name(name):
        raise Refused(
            "NameInvalid",
            f"{path}: {quote(name)} cannot be the name of an object: expected lower-case letters, digits, '-' and '.'",
        )
    return name


def quote(name: object) -> str:
    """Quotes a name for a message, cut to 80 characters."""
    shown = str(name)
    return f'"{shown if len(shown) <= _MAX_NAME_SHOWN else shown[: _MAX_NAME_SHOWN - 1] + "…"}"'


def quote_all(names: Iterable[object]) -> str:
    """Quotes names for a message: `"a", "b"`; at most twenty, then the number of the others."""
    every = list(names)
    shown = ", ".join(quote(name) for name in every[:_MAX_NAMES])
    more = len(every) - _MAX_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
