"""Two operators share the runs by label: each sees its own, and a run with a new label goes to the other one.

They are processes of this machine, with the rights of the deployed ones, which are scaled to nothing meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.cluster import Kubectl, Object
from tests.e2e.conftest import Apply, wait_for_run
from tests.e2e.manifests import instant, pipeline_run, suspended
from tests.e2e.processes import Operator, Sightings
from tests.e2e.resuming import resume
from tests.e2e.storage import archived, set_state

pytestmark = pytest.mark.serial

SHARD = "runwright.dev/shard"
GOLD = ("--shard=gold", "--selector=tier in (gold)")
REST = ("--shard=rest", "--selector=tier notin (gold)")


@pytest.fixture
def shards(account: Path) -> Iterator[tuple[Operator, Operator]]:
    """The operator of the gold runs, and that of all others. They log no error."""
    with ExitStack() as stack:
        gold, rest = (stack.enter_context(Operator(account, *options)) for options in (GOLD, REST))
        gold.start(until="of shard gold (tier in (gold))")
        rest.start(until="of shard rest")
        yield gold, rest
    assert gold.errors() + rest.errors() == []


def of_tier(tier: str, workflow: Object, name: str) -> Object:
    run = pipeline_run(workflow, name)
    return {**run, "metadata": {**run["metadata"], "labels": {"tier": tier}}} if tier else run


def about(operator: Operator, namespace: str) -> set[str]:
    """The runs of the namespace that the operator has logged something about."""
    return {line["run"] for line in operator.log() if line.get("namespace") == namespace and "run" in line}


def test_each_operator_serves_its_shard(
    kubectl: Kubectl, namespace: str, apply: Apply, shards: tuple[Operator, Operator]
):
    gold, rest = shards
    apply(of_tier("gold", {"spec": instant()}, "a"))
    apply(of_tier("silver", {"spec": instant()}, "b"))
    apply(of_tier("", {"spec": instant()}, "c"))
    for name in ("a", "b", "c"):
        wait_for_run(kubectl, namespace, name, "Succeeded")
    labels = {one["metadata"]["name"]: one["metadata"]["labels"][SHARD] for one in kubectl.list(namespace, "workflow")}
    assert labels == {"a": "gold", "b": "rest", "c": "rest"}
    for name in ("a", "b"):
        set_state(kubectl, namespace, name, "Archived")
        wait_for_run(kubectl, namespace, name, archived)
        set_state(kubectl, namespace, name, "Available")
        wait_for_run(kubectl, namespace, name, lambda run: run["status"].get("storageState") == "Available")
    assert about(gold, namespace) == {"a"}
    assert about(rest, namespace) == {"b", "c"}


def test_a_run_with_a_new_label_goes_to_the_other_operator(
    kubectl: Kubectl, namespace: str, apply: Apply, shards: tuple[Operator, Operator]
):
    gold, rest = shards
    with Sightings(kubectl, namespace, "workflow") as sightings:
        apply(of_tier("gold", {"spec": suspended()}, "run"))
        wait_for_run(kubectl, namespace, "run", "Running")
        kubectl("label", "-n", namespace, "prun", "run", "tier=silver", "--overwrite")
        sightings.wait("run", lambda found: found["metadata"]["labels"][SHARD] == "rest")
        gold.kill()
        resume(kubectl, namespace, "run")
        ended = wait_for_run(kubectl, namespace, "run", "Succeeded")
        assert sightings.uids() == {"run": {ended["status"]["workflow"]["uid"]}}
    assert "run" in about(rest, namespace)


def test_a_finished_run_is_retried_by_its_new_operator(
    kubectl: Kubectl, namespace: str, apply: Apply, shards: tuple[Operator, Operator]
):
    gold, rest = shards
    apply(of_tier("gold", {"spec": suspended(activeDeadlineSeconds=1)}, "run"))
    wait_for_run(kubectl, namespace, "run", "Failed")
    kubectl("label", "-n", namespace, "prun", "run", "tier-")
    kubectl("patch", "-n", namespace, "prun", "run", "--type=merge", "-p", '{"spec": {"retries": 1}}')
    wait_for_run(kubectl, namespace, "run", lambda run: run["status"].get("retries") == 1)
    wait_for_run(kubectl, namespace, "run", "Failed")
    assert kubectl.get(namespace, "workflow", "run")["metadata"]["labels"][SHARD] == "rest"
    assert [line["message"] for line in rest.log() if "retrying Workflow" in line["message"]]
    assert not [line["message"] for line in gold.log() if "retrying Workflow" in line["message"]]
