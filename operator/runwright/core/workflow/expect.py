"""What a field was expected to hold: small checks that refuse with the field's path."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, cast

from runwright.core.records import Refusal

MAX_MESSAGE = 1024
"""Characters of a refusal's message; a condition's message may have 2048."""

_MAX_NAMES = 20
_MAX_NAME_SHOWN = 80
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class Refused(Exception):  # noqa: N818 - the outcome of a decision, not an error of the program
    """Ends a build: no Workflow can be made of what was read. Never leaves `runwright.core`."""

    def __init__(self, reason: str, message: str, *, heals: bool = False) -> None:
        super().__init__(message)
        cut = message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"
        self.refusal = Refusal(reason=reason, message=cut, heals=heals)


@contextmanager
def mark_healing(heals: bool) -> Generator[None]:
    """Marks what is refused inside as curable without an edit of the run, where `heals` is true."""
    try:
        yield
    except Refused as refused:
        raise Refused(refused.refusal.reason, refused.refusal.message, heals=heals or refused.refusal.heals) from None


def json_type(value: Any) -> str:
    """A JSON value's type in a reader's words."""
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
    """`value` as a mapping; absent and null are an empty one.

    Raises:
        Refused: it is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(reason, f"{path}: expected a mapping, found {json_type(value)}")
    return cast("dict[str, Any]", value)


def expect_list(value: Any, path: str, reason: str = "SpecInvalid") -> list[Any]:
    """`value` as a list; absent and null are an empty one.

    Raises:
        Refused: it is something else.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise Refused(reason, f"{path}: expected a list, found {json_type(cast('object', value))}")
    return cast("list[Any]", value)


def expect_text(value: Any, path: str, reason: str = "SpecInvalid") -> str:
    """`value` as a string; absent and null are the empty one.

    Raises:
        Refused: it is something else.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refused(reason, f"{path}: expected a string, found {json_type(value)}")
    return value


def expect_object_name(name: str, path: str) -> str:
    """`name`, where Kubernetes allows it as an object's name (a DNS-1123 subdomain).

    Raises:
        Refused: it is not allowed, so that no such object can exist.
    """
    if _OBJECT_NAME.fullmatch(name) is None:
        raise Refused(
            "NameInvalid",
            f"{path}: {quote(name)} cannot be the name of an object: expected lower-case letters, digits, '-' and '.'",
        )
    return name


def quote(name: object) -> str:
    """A name inside a message, cut where it is very long."""
    shown = str(name)
    return f'"{shown if len(shown) <= _MAX_NAME_SHOWN else shown[: _MAX_NAME_SHOWN - 1] + "…"}"'


def quote_all(names: Iterable[object]) -> str:
    """Names inside a message: `"a", "b"`, at most twenty of them."""
    every = list(names)
    shown = ", ".join(quote(name) for name in every[:_MAX_NAMES])
    more = len(every) - _MAX_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
