"""What a Lease says, and what is written to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runwright.controller.election import LEASE_SECONDS
from runwright.kube.errors import ApiError
from runwright.kube.lease import (
    FENCE_SHARE,
    RENEW_SHARE,
    claimed,
    lease_record,
    micro_time,
    released,
    renewed,
    stored_lease,
)
from runwright.kube.objects import Key
from runwright.kube.session import UNACKNOWLEDGED_SECONDS

KEY = Key("system", "operator")
NOW = datetime(2026, 11, 26, 12, 0, 0, 5, tzinfo=UTC)


def test_the_first_claim():
    body = claimed(None, KEY, "a", 12, NOW)
    assert body["apiVersion"] == "coordination.k8s.io/v1"
    assert body["metadata"] == {"name": "operator", "namespace": "system"}
    assert body["spec"] == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 12,
        "acquireTime": "2026-11-26T12:00:00.000005Z",
        "renewTime": "2026-11-26T12:00:00.000005Z",
        "leaseTransitions": 0,
    }


def test_what_somebody_else_put_into_it_stays():
    first = {**claimed(None, KEY, "a", 12, NOW)}
    first["metadata"] = {**first["metadata"], "resourceVersion": "7", "labels": {"team": "x"}}
    first["spec"] = {**first["spec"], "preferredHolder": "b"}
    for body in (claimed(first, KEY, "b", 12, NOW), renewed(first, KEY, NOW), released(first, KEY, NOW)):
        assert body["metadata"] == first["metadata"]
        assert body["spec"]["preferredHolder"] == "b"


def test_each_claim_is_a_term_of_its_own_and_a_renewal_is_none():
    first = claimed(None, KEY, "a", 12, NOW)
    again = renewed(first, KEY, NOW + timedelta(seconds=2))
    assert again["spec"] == {**first["spec"], "renewTime": micro_time(NOW + timedelta(seconds=2))}
    given_back = released(again, KEY, NOW)
    assert lease_record(given_back).released
    second = claimed(given_back, KEY, "a", 12, NOW)
    assert (lease_record(second).holder, lease_record(second).transitions) == ("a", 1)


def test_a_lease_without_a_spec_is_free():
    record = lease_record({"metadata": {"resourceVersion": "3"}})
    assert record.released
    assert record.seconds == 0


def test_what_is_under_way_when_the_fence_closes_ends_before_the_lease_does():
    for seconds in (10, LEASE_SECONDS, 600):
        assert seconds * FENCE_SHARE + UNACKNOWLEDGED_SECONDS <= seconds
        assert 2 * seconds * RENEW_SHARE < seconds * FENCE_SHARE


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"metadata": []},
        {"metadata": {"resourceVersion": 7}},
        {"kind": "Status", "metadata": {"resourceVersion": "7"}},
    ],
)
def test_reply_that_is_no_stored_lease_is_refused(body: dict[str, Any]):
    with pytest.raises(ApiError, match="not a Lease"):
        stored_lease(body)


@pytest.mark.parametrize("odd", ["x", [], {}, None, 1.5])
def test_odd_numbers_count_as_zero(odd: Any):
    record = lease_record({"spec": {"leaseDurationSeconds": odd, "leaseTransitions": odd}})
    assert (record.seconds, record.transitions) == (0.0, 0)
