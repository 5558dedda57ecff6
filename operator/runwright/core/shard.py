"""The runs that an operator manages, by a Kubernetes label selector.

The API server evaluates the selector for lists and watches. This module evaluates it for objects that are read by name, by
the same rules (Kubernetes 1.34, `k8s.io/apimachinery/pkg/labels`): `!=` and `notin` also select objects without the label.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from runwright.api.labels import RUN_LABEL, SHARD_LABEL

KEY = r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
EXISTS = re.compile(rf"\s*(?P<not>!?)\s*(?P<key>{KEY})\s*")
EQUALS = re.compile(rf"\s*(?P<key>{KEY})\s*(?P<operator>==|=|!=)\s*(?P<value>{VALUE})\s*")
IN = re.compile(rf"\s*(?P<key>{KEY})\s+(?P<operator>in|notin)\s*\((?P<values>\s*{VALUE}\s*(?:,\s*{VALUE}\s*)*)\)\s*")
NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One part of a selector; all must hold."""

    key: str
    operator: Literal["exists", "absent", "in", "notin"]
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, object]) -> bool:
        """Whether the labels meet the requirement."""
        match self.operator:
            case "exists":
                return self.key in labels
            case "absent":
                return self.key not in labels
            case "in":
                return self.key in labels and labels[self.key] in self.values
            case "notin":
                return self.key not in labels or labels[self.key] not in self.values


@dataclass(frozen=True, slots=True)
class Shard:
    """The runs that an operator manages; without a name, all runs."""

    name: str = ""
    """The value of `SHARD_LABEL` on the Workflows of these runs."""
    selector: str = ""
    requirements: tuple[Requirement, ...] = ()

    def run_selector(self, selector: str = "") -> str:
        """Label selector of the shard's runs that also match `selector`."""
        return ",".join(part for part in (selector, self.selector) if part)

    @property
    def workflow_selector(self) -> str:
        """Label selector of the Workflows of the shard's runs."""
        return f"{RUN_LABEL},{SHARD_LABEL}={self.name}" if self.name else RUN_LABEL

    def includes(self, labels: Mapping[str, object]) -> bool:
        """Whether a run with these labels is in the shard."""
        return all(requirement.holds(labels) for requirement in self.requirements)


EVERYTHING = Shard()


def parse_shard(name: str, selector: str) -> Shard:
    """Parses a shard's name and label selector, such as `team in (a,b)`; EVERYTHING if both are empty.

    Raises:
        ValueError: one of them is missing or invalid.
    """
    if not name and not selector:
        return EVERYTHING
    if not NAME.fullmatch(name):
        raise ValueError(f"shard name {name!r}: expected up to 63 of a-z, 0-9, - and .")
    if not selector.strip():
        raise ValueError(f"shard {name!r} has no selector: expected labels of its runs, such as team=a")
    return Shard(name, selector, parse_selector(selector))


def parse_selector(selector: str) -> tuple[Requirement, ...]:
    """Parses a label selector. Raises ValueError if it is invalid."""
    found: list[Requirement] = []
    at = 0
    while True:
        for form in (IN, EQUALS, EXISTS):
            part = form.match(selector, at)
            if part and (part.end() == len(selector) or selector[part.end()] == ","):
                break
        else:
            raise ValueError(f"label selector {selector!r}: syntax error at {selector[at : at + 30]!r}")
        found.append(parse_requirement(part))
        if part.end() == len(selector):
            return tuple(found)
        at = part.end() + 1


def parse_requirement(part: re.Match[str]) -> Requirement:
    """Converts one matched part of a selector to a requirement."""
    groups = part.groupdict()
    if "not" in groups:
        return Requirement(groups["key"], "absent" if groups["not"] else "exists")
    negative = groups["operator"] in ("!=", "notin")
    values = groups["values"].split(",") if "values" in groups else [groups["value"]]
    return Requirement(groups["key"], "notin" if negative else "in", frozenset(value.strip() for value in values))
