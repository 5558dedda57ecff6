"""What happens to finished runs by their own retention, their namespace's policy, and the operator's defaults."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.e2e.cluster import Kubectl, Object, condition
from tests.e2e.conftest import Apply, WaitRun
from tests.e2e.manifests import instant, of_kind, one_step, pipeline_run, suspended
from tests.e2e.processes import Operator
from tests.e2e.runs import Run, refused, source
from tests.e2e.storage import LABEL, archived, available, kept, set_state, storage_state

DELETE_ON = "runwright.dev/delete-on"
LONG = "30d"


def quick(name: str = "run", **retention: str) -> Object:
    """A run that ends by itself, with a retention of its own."""
    return pipeline_run({"spec": instant()}, name, retention=retention)


def failing(name: str, **retention: str) -> Object:
    """A run that ends as Failed, without a Workflow."""
    return pipeline_run({"spec": instant()}, name, retention=retention, shutdown="Stop")


def policy(apply: Apply, **spec: Any) -> None:
    apply(of_kind("RetentionPolicy", "default", spec=spec))


def ended(apply: Apply, wait_run: WaitRun, *documents: Object) -> None:
    """Apply the runs, one after the other, each when the one before has ended."""
    for document in documents:
        apply(document)
        wait_run(document["metadata"]["name"])


def there(kubectl: Kubectl, namespace: str, kind: str = "prun") -> set[str]:
    return {found["metadata"]["name"] for found in kubectl.list(namespace, kind)}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def ago(**span: float) -> str:
    """A time in the past, or with a negative span in the future, as it stands in a status."""
    return (datetime.now(UTC) - timedelta(**span)).isoformat(timespec="seconds").replace("+00:00", "Z")


# ------------------------------------------------------------------------------------------------------- the run's own
def test_a_run_is_archived_after_its_period(apply: Apply, wait_run: WaitRun):
    """Not before its time; labelled by the operator as a person would; one that asks for longer stays."""
    apply(quick("long", archiveAfter=LONG))
    apply(quick(archiveAfter="2s"))
    run = wait_run("run", archived)
    assert run["metadata"]["labels"][LABEL] == "Archived"
    at = moment(condition(run, "Archived")["lastTransitionTime"])
    assert at - moment(run["status"]["finishedAt"]) >= timedelta(seconds=2)
    assert storage_state(wait_run("long", "Succeeded")) == (None, None)


def test_a_run_is_deleted_after_its_period(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """With its Workflow and its pod. One that asks for longer stays, and so does one that has not ended."""
    apply(pipeline_run({"spec": one_step()}, retention={"deleteAfter": "1s"}))
    apply(pipeline_run({"spec": suspended()}, "unfinished", retention={"deleteAfter": "0s", "archiveAfter": "0s"}))
    apply(quick("long", deleteAfter=LONG))
    for kind in ("prun", "workflow"):
        kubectl.wait_gone(namespace, kind, "run")
    for pod in kubectl.list(namespace, "pods", "-l", "workflows.argoproj.io/workflow=run"):
        kubectl.wait_gone(namespace, "pod", pod["metadata"]["name"])
    wait_run("long", "Succeeded")
    wait_run("unfinished", "Running")
    assert there(kubectl, namespace) == {"long", "unfinished"}
    assert storage_state(kubectl.get(namespace, "prun", "unfinished")) == (None, None)


def test_a_workflow_is_dropped_after_its_period(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """`keepWorkflow` takes the Workflow and its pods. The run stays as it was, with a snapshot; nothing starts again."""
    apply(pipeline_run({"spec": one_step()}, retention={"keepWorkflow": "2s"}))
    before = wait_run("run", "Succeeded")
    (pod,) = kubectl.list(namespace, "pods")
    kubectl.wait_gone(namespace, "workflow", "run")
    kubectl.wait_gone(namespace, "pod", pod["metadata"]["name"])
    ended(apply, wait_run, quick("later"))
    run = kubectl.get(namespace, "prun", "run")
    assert run["status"] == before["status"]
    assert LABEL not in run["metadata"].get("labels", {})
    assert kept(kubectl, namespace)["metadata"]["name"] == "run"
    assert there(kubectl, namespace, "workflow") == {"later"}


def test_an_archived_run_is_deleted_after_its_period(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """It says on which day, by a label, which is how it is found again; what was kept of it goes too."""
    apply(quick("long", archiveAfter="0s", deleteAfter=LONG))
    long = wait_run("long", lambda run: archived(run) and DELETE_ON in run["metadata"]["labels"])
    due = moment(long["status"]["finishedAt"]) + timedelta(days=30)
    assert long["metadata"]["labels"][DELETE_ON] == due.date().isoformat()
    apply(quick(archiveAfter="0s", deleteAfter="10s"))
    wait_run("run", archived)
    for kind in ("prun", "workflowsnapshot"):
        kubectl.wait_gone(namespace, kind, "run")
    assert there(kubectl, namespace) == {"long"}


def test_a_restored_run_is_not_archived_again(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """Its period has passed all the time. Deleted it is, when its own words say so later."""
    apply(quick(archiveAfter="1s"))
    wait_run("run", archived)
    set_state(kubectl, namespace, "run", None)
    wait_run("run", available)
    apply(quick("later", archiveAfter="1s"))
    wait_run("later", archived)
    run = kubectl.get(namespace, "prun", "run")
    assert storage_state(run) == ("Available", "False")
    assert LABEL not in run["metadata"].get("labels", {})
    kubectl(
        "patch", "-n", namespace, "prun", "run", "--type=merge", "-p", '{"spec":{"retention":{"deleteAfter":"1s"}}}'
    )
    kubectl.wait_gone(namespace, "prun", "run")


def test_retention_edited_after_the_end_counts_from_the_end(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    """An edit of the retention of a finished run counts from its end, not from the edit."""
    ended(apply, wait_run, quick("first"))
    apply(quick("second", deleteAfter="1ms", archiveAfter="1ms", keepWorkflow="1ms"))
    kubectl.wait_gone(namespace, "prun", "second")
    kubectl(
        "patch", "-n", namespace, "prun", "first", "--type=merge", "-p", '{"spec":{"retention":{"deleteAfter":"1s"}}}'
    )
    kubectl.wait_gone(namespace, "prun", "first")


def test_an_end_in_the_future_keeps_the_run_until_then(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    """A run whose end lies in the future is kept until then; one whose end lies far back is due at once."""
    ended(apply, wait_run, quick("future", deleteAfter=LONG), quick("past", deleteAfter=LONG))
    kubectl.patch_status(namespace, "prun", "future", {"finishedAt": ago(hours=-1)})
    kubectl.patch_status(namespace, "prun", "past", {"finishedAt": ago(days=31)})
    kubectl.wait_gone(namespace, "prun", "past")
    patch = '{"spec":{"retention":{"deleteAfter":"0s","archiveAfter":"0s"}}}'
    kubectl("patch", "-n", namespace, "prun", "future", "--type=merge", "-p", patch)
    apply(quick("later", deleteAfter="0s"))
    kubectl.wait_gone(namespace, "prun", "later")
    assert there(kubectl, namespace) == {"future"}
    assert storage_state(kubectl.get(namespace, "prun", "future")) == (None, None)


# ------------------------------------------------------------------------------------------------ the namespace's policy
def test_a_policy_applies_to_runs_that_ended_before_it(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    """And so does each change of it, also on archived runs, which are in no watch; its removal stops it."""
    ended(apply, wait_run, quick("first"), quick("second"))
    policy(apply, archiveAfter="1s")
    for name in ("first", "second"):
        wait_run(name, archived)
    kubectl("delete", "-n", namespace, "retentionpolicy", "default")
    ended(apply, wait_run, quick("third"), quick("fourth", archiveAfter="1s"))
    wait_run("fourth", archived)
    assert storage_state(kubectl.get(namespace, "prun", "third")) == (None, None)
    policy(apply, deleteAfter="1s")
    for name in ("first", "second", "third", "fourth"):
        kubectl.wait_gone(namespace, "prun", name)


def test_a_policy_completes_the_retention_of_a_run_by_field(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    """What a run does not say itself comes from the policy."""
    policy(apply, archiveAfter=LONG, deleteAfter="3s", keepWorkflow="1s")
    apply(quick("keeps", deleteAfter=LONG))
    apply(quick("archived", archiveAfter="0s", deleteAfter=LONG, keepWorkflow=LONG))
    apply(quick("deleted", archiveAfter="0s"))
    wait_run("archived", archived)
    kubectl.wait_gone(namespace, "prun", "deleted")
    kubectl.wait_gone(namespace, "workflow", "keeps")
    assert storage_state(wait_run("keeps", "Succeeded")) == (None, None)
    assert there(kubectl, namespace) == {"keeps", "archived"}
    assert there(kubectl, namespace, "workflow") == {"archived"}


def test_the_last_runs_of_each_result_are_kept(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun):
    """By their end, Succeeded and Failed apart. Unfinished and archived runs, and those with a time of their own, stay."""
    apply(pipeline_run({"spec": suspended()}, "unfinished"))
    ended(apply, wait_run, quick("archived"), quick("own", deleteAfter=LONG), quick("success-1"))
    set_state(kubectl, namespace, "archived", "Archived")
    wait_run("archived", archived)
    failures = [failing(f"failure-{number}") for number in (1, 2)]
    ended(apply, wait_run, quick("success-2"), *failures, quick("success-3"))
    spare = {"unfinished", "archived", "own"}
    policy(apply, keepSucceeded=2, keepFailed=1)
    for name in ("success-1", "failure-1"):
        kubectl.wait_gone(namespace, "prun", name)
    ended(apply, wait_run, quick("success-4"))
    kubectl.wait_gone(namespace, "prun", "success-2")
    assert there(kubectl, namespace) == {*spare, "success-3", "success-4", "failure-2"}
    policy(apply, keepSucceeded=0)
    for name in ("success-3", "success-4"):
        kubectl.wait_gone(namespace, "prun", name)
    assert there(kubectl, namespace) == {*spare, "failure-2"}


OWNED: dict[str, Object] = {
    "argo-cd": {"annotations": {"argocd.argoproj.io/tracking-id": "apps:runwright.dev/PipelineRun:team/run"}},
    "flux": {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux"}},
    "helm": {"annotations": {"meta.helm.sh/release-name": "runs", "meta.helm.sh/release-namespace": "team"}},
}


def test_a_tracked_run_is_archived_by_a_policy_that_deletes(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    """A policy archives it, where it would delete another one: the tool would create it again. Its own words count."""
    for tool, marks in OWNED.items():
        own, bound = quick(f"{tool}-own", deleteAfter="2s"), quick(tool)
        for document in (own, bound):
            document["metadata"] |= marks
        apply(own)
        ended(apply, wait_run, bound)
    ended(apply, wait_run, quick("nobodys"))
    policy(apply, deleteAfter="1s", keepSucceeded=0)
    for name in ("nobodys", *(f"{tool}-own" for tool in OWNED)):
        kubectl.wait_gone(namespace, "prun", name)
    for tool in OWNED:
        run = wait_run(tool, archived)
        assert "nodes" not in run["status"]
        assert DELETE_ON not in run["metadata"]["labels"]
    assert there(kubectl, namespace) == set(OWNED)
    assert there(kubectl, namespace, "workflowsnapshot") == set(OWNED)
    for tool in OWNED:
        kubectl.wait_gone(namespace, "workflow", tool)


# ------------------------------------------------------------------------------------------------ the operator's defaults
def test_default_retention_of_the_operator_applies(
    kubectl: Kubectl, kubeconfig: Path, namespace: str, apply: Apply, wait_run: WaitRun
):
    """They hold where neither the run nor the policy says anything; here those of a second operator, for one namespace."""
    flags = ("--archive-after", "1s", "--delete-after", "3s", "--keep-workflow", "1s", "--keep-failed", "1")
    policy(apply, keepSucceeded=5)
    with Operator(kubeconfig, "--namespace", namespace, *flags) as defaults:
        defaults.start()
        apply(quick("first"))
        own = quick("own", archiveAfter=LONG, deleteAfter=LONG, keepWorkflow=LONG)
        dropped = quick("dropped", archiveAfter=LONG, deleteAfter=LONG)
        ended(apply, wait_run, own, dropped)
        for kind, name in (("workflow", "dropped"), ("prun", "first")):
            kubectl.wait_gone(namespace, kind, name)
        policy(apply, deleteAfter=LONG)
        ended(apply, wait_run, *(failing(f"failure-{number}", archiveAfter=LONG) for number in (1, 2)), quick("second"))
        kubectl.wait_gone(namespace, "prun", "failure-1")
        wait_run("second", archived)
        assert there(kubectl, namespace) == {"own", "dropped", "second", "failure-2"}
        assert "own" in there(kubectl, namespace, "workflow")
        assert storage_state(kubectl.get(namespace, "prun", "own")) == (None, None)
        assert defaults.errors() == []


# ---------------------------------------------------------------------------------------------------------- bad input
WRITE = "write a duration as numbers with units (ms, s, m, h, d), such as 90s, 15m, 36h, 7d or 1h30m"


def test_an_invalid_duration_is_refused_with_an_example(run: Run, kubectl: Kubectl, namespace: str):
    """The message says what to write instead; the same for the run's own and for the policy's."""
    for field, bad in (
        ("archiveAfter", "7 days"),
        ("deleteAfter", "P7D"),
        ("deleteAfter", "-1h"),
        ("keepWorkflow", ""),
    ):
        message = refused(run.create, {**source(**instant()), "retention": {field: bad}})
        assert f"spec.retention.{field}" in message
        assert WRITE in message
        document = json.dumps(of_kind("RetentionPolicy", "default", spec={field: bad}))
        message = refused(kubectl, "create", "-n", namespace, "-f", "-", input=document)
        assert f"spec.{field}" in message
        assert WRITE in message


def test_a_policy_of_another_name_is_refused(kubectl: Kubectl, namespace: str):
    document = json.dumps(of_kind("RetentionPolicy", "mine", spec={"deleteAfter": "7d"}))
    message = refused(kubectl, "create", "-n", namespace, "-f", "-", input=document)
    assert "metadata.name: Forbidden: use the name default: a namespace has at most one RetentionPolicy" in message


def test_an_invalid_count_is_refused(kubectl: Kubectl, namespace: str):
    for bad in (-1, 100_001, "ten"):
        document = json.dumps(of_kind("RetentionPolicy", "default", spec={"keepSucceeded": bad}))
        assert "spec.keepSucceeded" in refused(kubectl, "create", "-n", namespace, "-f", "-", input=document)
