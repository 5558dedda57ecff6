"""Objects as the API server sends them: keys, and accessors that never raise on an odd object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

Json = Mapping[str, Any]

INCOMPLETE = "runwright.dev/incomplete"
"""Top-level field that holds the Incompleteness of an object that `kube.decoding` cut."""


class Incompleteness(NamedTuple):
    """Why an object was cut as it was decoded. No JSON text decodes to this type, so that no client can send the mark."""

    reason: str
    """TooDeep or TooComplex."""
    message: str
    """The field and the limit."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Namespace and name of an object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def as_mapping(value: object) -> Json:
    """The value if it is an object, else an empty one."""
    return cast(Json, value) if isinstance(value, Mapping) else {}


def as_text(value: object) -> str:
    """The value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def as_time(value: object) -> datetime | None:
    """An RFC 3339 time in UTC, or None for anything else."""
    try:
        at = datetime.fromisoformat(as_text(value))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def as_count(value: object) -> int | None:
    """A whole number that stands as text in an annotation, or None for anything else."""
    number = as_text(value)
    return int(number) if re.fullmatch("[0-9]{1,18}", number) else None


def incompleteness(body: Json) -> Incompleteness | None:
    """Why the object was cut as it was decoded; None for a complete one. Never build or write anything from a cut object."""
    mark = body.get(INCOMPLETE)
    return mark if isinstance(mark, Incompleteness) else None


def key_of(body: Json) -> Key:
    """Namespace and name of an object."""
    metadata = as_mapping(body.get("metadata"))
    return Key(as_text(metadata.get("namespace")), as_text(metadata.get("name")))


def metadata_of(body: Json) -> Json:
    """`metadata`, or an empty object."""
    return as_mapping(body.get("metadata"))


def spec_of(body: Json) -> Json:
    """`spec`, or an empty object."""
    return as_mapping(body.get("spec"))


def status_of(body: Json) -> Json:
    """`status`, or an empty object."""
    return as_mapping(body.get("status"))


def labels_of(body: Json) -> Json:
    """`metadata.labels`, or an empty object."""
    return as_mapping(metadata_of(body).get("labels"))


def annotations_of(body: Json) -> Json:
    """`metadata.annotations`, or an empty object."""
    return as_mapping(metadata_of(body).get("annotations"))


def uid_of(body: Json) -> str:
    """`metadata.uid`, or an empty string."""
    return as_text(metadata_of(body).get("uid"))


def version_of(body: Json) -> str:
    """`metadata.resourceVersion`, or an empty string."""
    return as_text(metadata_of(body).get("resourceVersion"))


def name_of(body: Json) -> str:
    """`metadata.name`, or an empty string."""
    return as_text(metadata_of(body).get("name"))


def namespace_of(body: Json) -> str:
    """`metadata.namespace`, or an empty string."""
    return as_text(metadata_of(body).get("namespace"))
