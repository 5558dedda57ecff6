"""Of two operators one acts: the other one follows it when it goes, and one that slept writes nothing when it wakes.

They are processes of this machine, with the rights of the deployed ones, which are scaled to nothing meanwhile.
"""

from __future__ import annotations

import random
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.audit import WRITES, audit_log, calls, size, what
from tests.e2e.cluster import Kubectl
from tests.e2e.conftest import SYSTEM, Apply, wait_for_run
from tests.e2e.manifests import pipeline_run
from tests.e2e.processes import Operator, Sightings
from tests.ports import free_port

pytestmark = pytest.mark.serial

LEASE = f"{SYSTEM}/runwright-operator"
PAUSE = {"entrypoint": "main", "templates": [{"name": "main", "suspend": {"duration": "2s"}}]}
TAKEOVER_SECONDS = 15.0
"""After the death of the one that acts, the other one does."""


class Candidate(Operator):
    """An operator that competes for the deployed ones' Lease."""

    def __init__(self, kubeconfig: Path, *options: str) -> None:
        self.probe = f"127.0.0.1:{free_port()}"
        super().__init__(kubeconfig, f"--lease={LEASE}", f"--probe-address={self.probe}", *options)

    @property
    def identity(self) -> str:
        """As whom it last held the Lease; what it sends carries this in its user agent."""
        held = [
            line["message"] for line in self.log() if "holds Lease" in line["message"] and " as " in line["message"]
        ]
        return held[-1].rpartition(" as ")[2]

    def report(self) -> str:
        """What /readyz says."""
        try:
            with urllib.request.urlopen(f"http://{self.probe}/readyz", timeout=10) as reply:
                return reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()


@pytest.fixture
def pair(account: Path) -> Iterator[tuple[Candidate, Candidate]]:
    """The one that acts, and the one that stands by. Whatever happens to them, they log no error."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(Candidate(account)) for _ in range(2))
        first.start()
        second.start(until="stands by")
        yield first, second
    assert first.errors() + second.errors() == []


def holder(kubectl: Kubectl) -> str:
    return kubectl("get", "lease", "-n", SYSTEM, "runwright-operator", "-o", "jsonpath={.spec.holderIdentity}")


def test_standby_leads_at_once_after_a_clean_end(
    kubectl: Kubectl, namespace: str, apply: Apply, pair: tuple[Candidate, Candidate]
):
    first, second = pair
    assert '"leader": true' in first.report()
    assert '"leader": false' in second.report()
    apply(pipeline_run({"spec": PAUSE}, "before"))
    wait_for_run(kubectl, namespace, "before", "Running")
    began = time.monotonic()
    assert first.stop() == 0
    second.wait_log("looks after PipelineRuns", timeout=5)
    assert time.monotonic() - began < 5
    apply(pipeline_run({"spec": PAUSE}, "after"))
    for name in ("before", "after"):
        wait_for_run(kubectl, namespace, name, "Succeeded")
    assert '"leader": true' in second.report()


def test_standby_leads_in_time_after_a_kill(
    kubectl: Kubectl, namespace: str, apply: Apply, pair: tuple[Candidate, Candidate]
):
    first, second = pair
    with Sightings(kubectl, namespace, "workflow") as sightings:
        names = [f"run-{number}" for number in range(5)]
        for name in names[:4]:
            apply(pipeline_run({"spec": PAUSE}, name))
        first.kill()
        killed = time.monotonic()
        apply(pipeline_run({"spec": PAUSE}, names[4]))
        wait_for_run(kubectl, namespace, names[4], lambda run: "status" in run)
        assert time.monotonic() - killed < TAKEOVER_SECONDS
        runs = {name: wait_for_run(kubectl, namespace, name, "Succeeded") for name in names}
        assert sightings.uids() == {name: {run["status"]["workflow"]["uid"]} for name, run in runs.items()}
    assert holder(kubectl) == second.identity


def test_a_leader_frozen_past_its_lease_writes_nothing(
    kubectl: Kubectl, namespace: str, apply: Apply, pair: tuple[Candidate, Candidate]
):
    """Stopped in its tracks amid its work, each in its turn, at a moment that no one chose."""
    chance, log = random.Random(20261126), audit_log()
    since = size(log) if log else 0
    acting, waiting = pair
    names: list[str] = []
    slept: list[tuple[str, str]] = []
    with Sightings(kubectl, namespace, "workflow") as sightings, Sightings(kubectl, namespace, "prun") as versions:
        for turn in range(2):
            batch = [f"run-{turn}-{number}" for number in range(12)]
            names += batch
            seen = len(waiting.log())
            items = [pipeline_run({"spec": PAUSE}, name) for name in batch]
            apply({"apiVersion": "v1", "kind": "List", "items": items})
            time.sleep(chance.uniform(0, 1.5))  # waits for nothing: where in its work it is stopped is chance
            acting.freeze()
            frozen = time.monotonic()
            waiting.wait_log("looks after PipelineRuns", since=seen)
            assert time.monotonic() - frozen < TAKEOVER_SECONDS
            lease = kubectl.get(SYSTEM, "lease", "runwright-operator")
            assert lease["spec"]["holderIdentity"] == waiting.identity
            slept.append((acting.identity, lease["spec"]["acquireTime"]))
            for name in batch:
                wait_for_run(kubectl, namespace, name, "Succeeded")
            seen = len(acting.log())
            acting.thaw()
            acting.wait_log("was lost", since=seen)
            acting.wait_log("stands by", since=seen)
            acting, waiting = waiting, acting
        runs = {name: wait_for_run(kubectl, namespace, name, "Succeeded") for name in names}
        assert sightings.uids() == {name: {run["status"]["workflow"]["uid"]} for name, run in runs.items()}
        for run in runs.values():
            phases = [one.get("status", {}).get("phase") for one in versions.up_to(run)]
            assert set(phases[phases.index("Succeeded") :]) == {"Succeeded"}
    if log is not None:
        assert [one for identity, lost in slept for one in written_after(log, since, namespace, identity, lost)] == []
        assert sum(1 for _ in calls(log, since, namespace, slept[0][0])) > 0


def written_after(log: Path, since: int, namespace: str, identity: str, lost: str) -> list[str]:
    """What a process wrote after another one had taken the Lease from it, and before it held it again.

    A process that was stopped between its look at the Lease and the request sends that request when it wakes. The API
    server refuses it by its precondition (409), so only accepted writes count.
    """
    again = [at for who, at in claims(log, since) if who == identity and at > lost]
    return [
        f"{what(call)} {call['objectRef'].get('name')} by {identity} at {call['requestReceivedTimestamp']}"
        for call in calls(log, since, namespace, identity)
        if call["verb"] in WRITES
        and call["responseStatus"]["code"] < 300
        and lost < call["requestReceivedTimestamp"] < (again[0] if again else "9")
    ]


def claims(log: Path, since: int) -> list[tuple[str, str]]:
    """Who wrote the Lease first after another one, and when."""
    found: list[tuple[str, str]] = []
    for call in calls(log, since, '"leases"', '"runwright-operator"'):
        who = call["userAgent"].rpartition("(")[2].rstrip(")")
        if call["verb"] == "update" and call["responseStatus"]["code"] == 200 and (not found or found[-1][0] != who):
            found.append((who, call["requestReceivedTimestamp"]))
    return found
