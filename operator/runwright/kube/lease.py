"""Who may act, of several operators: what a Lease says, and what is written to take, to keep and to give it back.

The rules are those of Kubernetes' own controllers (client-go's leader election, 1.34): a Lease counts as free when its
holder is empty, or when nobody has written it for `leaseDurationSeconds` by the clock of the one who looks. Times in it are
for people: clocks of two machines are never compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_text, metadata_of, spec_of, version_of

FENCE_SHARE = 7 / 12
"""How long, of the Lease's duration, a holder writes after it last renewed. The rest is for what is under way by then: a
request that the kernel has not got rid of (TCP_USER_TIMEOUT), and clocks that do not run alike."""

RENEW_SHARE = 1 / 6
"""How often it renews: two attempts may fail before it stops writing."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What a Lease says."""

    resource_version: str
    holder: str
    seconds: float
    """After which it is free, where nobody has written it."""
    transitions: int
    """How often it went from one holder to another: together with the holder, a term."""

    @property
    def released(self) -> bool:
        """Whether its last holder gave it back."""
        return not self.holder


def lease_record(body: Mapping[str, Any]) -> LeaseRecord:
    """What is in the Lease. One that somebody wrote by hand without a holder or duration is free at once."""
    spec = spec_of(body)
    return LeaseRecord(
        version_of(body),
        as_text(spec.get("holderIdentity")),
        float(as_number(spec.get("leaseDurationSeconds"))),
        as_number(spec.get("leaseTransitions")),
    )


def stored_lease(body: Json) -> Json:
    """The reply of the API server. Raises ApiError (code 0, Undecodable) if it is not a stored Lease.

    A Lease without a version would look free, and a write without a version would overwrite another holder.
    """
    if not version_of(body) or body.get("kind") not in (None, "Lease"):
        raise ApiError(0, "Undecodable", "the reply of the API server is not a Lease")
    return body


def as_number(value: object) -> int:
    """The value if it is a whole number, else 0."""
    return value if isinstance(value, int) else 0


def claimed(body: Mapping[str, Any] | None, key: Key, holder: str, seconds: float, now: datetime) -> dict[str, Any]:
    """The Lease as a new holder writes it over `body`, the present one, with its resourceVersion as the precondition."""
    known = spec_of(body or {})
    transitions = as_number(known.get("leaseTransitions")) + (1 if body is not None else 0)
    return lease_with_spec(
        body,
        key,
        {
            "holderIdentity": holder,
            "leaseDurationSeconds": round(seconds),
            "acquireTime": micro_time(now),
            "renewTime": micro_time(now),
            "leaseTransitions": transitions,
        },
    )


def renewed(body: Mapping[str, Any], key: Key, now: datetime) -> dict[str, Any]:
    """The Lease with a new renew time."""
    return lease_with_spec(body, key, {"renewTime": micro_time(now)})


def released(body: Mapping[str, Any], key: Key, now: datetime) -> dict[str, Any]:
    """The Lease without a holder, so that the next candidate takes it at once."""
    return lease_with_spec(body, key, {"holderIdentity": "", "renewTime": micro_time(now)})


def lease_with_spec(body: Mapping[str, Any] | None, key: Key, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The Lease with these fields in its spec; all other fields and labels stay."""
    known = body or {}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {**metadata_of(known), "name": key.name, "namespace": key.namespace},
        "spec": {**spec_of(known), **spec},
    }


def micro_time(when: datetime) -> str:
    """Kubernetes' MicroTime."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
