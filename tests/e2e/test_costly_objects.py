"""Objects that are small in etcd and would cost much to process: each is bounded, and reported on its run.

On an API server of its own; the test writes what Argo would write into a Workflow.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Kubectl, Object, condition
from tests.e2e.conftest import REPOSITORY
from tests.e2e.control_plane import ControlPlane
from tests.e2e.manifests import pipeline_run, suspended, workflow
from tests.e2e.processes import Operator
from tests.ports import free_port

NAMESPACE = "costly"
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def probe() -> str:
    """The address of the operator's metrics."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def plane(bare: ControlPlane, argo_kind: str, probe: str) -> Iterator[Kubectl]:
    """kubectl, with an operator that logs no error and takes little memory throughout."""
    bare.install("-k", str(REPOSITORY / "crds"))
    bare.install("-f", "-", input=argo_kind)
    bare.kubectl("create", "namespace", NAMESPACE)
    with Operator(bare.kubeconfig, f"--probe-address={probe}") as operator:
        operator.start()
        before = resident_peak(operator)
        yield bare.kubectl
        assert resident_peak(operator) - before < 200 * MEBIBYTE
        assert operator.errors() == []


def resident_peak(operator: Operator) -> int:
    """Bytes of memory that the process had at most."""
    status = Path(f"/proc/{operator.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def refused_objects(address: str, reason: str) -> float:
    """The counter of refused objects."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    found = re.search(rf'^runwright_objects_refused_total{{reason="{reason}"}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def create(kubectl: Kubectl, document: Object) -> None:
    kubectl("create", "-n", NAMESPACE, "-f", "-", input=json.dumps(document))


def started(kubectl: Kubectl, run: Object) -> Object:
    """Create the run; returns its Workflow."""
    create(kubectl, run)
    return kubectl.wait(NAMESPACE, "workflow", run["metadata"]["name"], lambda _: True)


def patch_workflow(kubectl: Kubectl, name: str, patch: Object, folder: Path) -> None:
    file = folder / "patch.json"
    file.write_text(json.dumps(patch))
    kubectl("patch", "-n", NAMESPACE, "workflow", name, "--type=merge", f"--patch-file={file}")


def wait_for(kubectl: Kubectl, name: str, kind: str, reason: str) -> Object:
    """The run, once it has this condition with this reason."""

    def there(found: Object) -> bool:
        conditions = (found.get("status") or {}).get("conditions", ())
        return any((one["type"], one["reason"]) == (kind, reason) for one in conditions)

    return kubectl.wait(NAMESPACE, "prun", name, there)


def packed(value: Any) -> str:
    return base64.b64encode(gzip.compress(json.dumps(value, separators=(",", ":")).encode(), mtime=0)).decode()


BOMB = packed({"a": [{}] * 20_000_000})
"""60 MB of JSON, 1.7 GB of objects."""


def test_packed_nodes_beyond_the_bounds_are_reported_and_the_phase_is_mirrored(plane: Kubectl, tmp_path: Path):
    assert len(BOMB) < 100_000
    started(plane, pipeline_run({"spec": suspended()}, "bomb"))
    patch_workflow(plane, "bomb", {"status": {"phase": "Running", "compressedNodes": BOMB}}, tmp_path)
    run = wait_for(plane, "bomb", "NodesMirrored", "NodesUnreadable")
    assert run["status"]["phase"] == "Running"
    assert (
        "status.compressedNodes of the Workflow unpacks to more than 16777216 bytes"
        in condition(run, "NodesMirrored")["message"]
    )
    event = next(one for _, one in plane.watch(NAMESPACE, "events", "--field-selector=reason=NodesUnreadable"))
    assert (event["involvedObject"]["name"], event["type"]) == ("bomb", "Warning")
    nodes = {"bomb": {"name": "bomb", "type": "Suspend", "phase": "Failed"}}
    status = {"phase": "Failed", "compressedNodes": packed(nodes), "finishedAt": "2026-11-24T12:00:00Z"}
    patch_workflow(plane, "bomb", {"status": status}, tmp_path)
    run = plane.wait(NAMESPACE, "prun", "bomb", lambda found: found["status"].get("phase") == "Failed")
    assert [node["id"] for node in run["status"]["nodes"]] == ["bomb"]
    assert not [one for one in run["status"]["conditions"] if one["type"] == "NodesMirrored"]


def test_packed_nodes_of_a_workflow_without_a_run_are_not_unpacked(plane: Kubectl, tmp_path: Path):
    """The label makes the operator watch it; its owner reference shows that it is no run's."""
    stranger = workflow(suspended(), "stranger", labels={"runwright.dev/run": "stranger"})
    create(plane, stranger | {"status": {"phase": "Running", "compressedNodes": BOMB}})
    run = pipeline_run({"spec": suspended()}, "stranger")
    create(plane, run)
    wait_for(plane, "stranger", "Stalled", "WorkflowNameTaken")
    started(plane, pipeline_run({"spec": suspended()}, "after-stranger"))


def test_macros_aliases_and_directives_are_read_in_linear_time(plane: Kubectl):
    """A search for a closing bracket at each of 200,000 opening ones would take minutes."""
    brackets = "[[" * 200_000
    spec = suspended(arguments={"parameters": [{"name": "a", "value": brackets}]})
    kfp = workflow(spec, annotations={"pipelines.kubeflow.org/kfp_sdk_version": "1.8.22"})
    made = started(plane, pipeline_run({"manifest": json.dumps(kfp)}, "macros"))
    assert made["spec"]["arguments"]["parameters"] == [{"name": "a", "value": brackets}]
    directives = "".join(f"%TAG !{number}! x\n" for number in range(60_000))
    create(plane, pipeline_run({"manifest": f"{directives}--- {json.dumps(workflow(suspended()))}"}, "directives"))
    run = wait_for(plane, "directives", "Stalled", "ManifestUnreadable")
    assert "it has more than 16 %TAG lines" in condition(run, "Stalled")["message"]
    create(plane, pipeline_run({"manifest": json.dumps(workflow(suspended(x=[0] * 200_001)))}, "values"))
    run = wait_for(plane, "values", "Stalled", "ManifestUnreadable")
    assert "it has more than 200000 values" in condition(run, "Stalled")["message"]


def test_retry_of_crafted_nodes_is_refused_after_bounded_work(plane: Kubectl, tmp_path: Path):
    """500 failed nodes of which each follows all: the plan would take a minute, with 1,000 ten."""
    ids = [f"n{number}" for number in range(700)]
    nodes = {id: {"name": f"dense.{id}", "type": "Pod", "phase": "Failed", "children": ids} for id in ids}
    started(plane, pipeline_run({"spec": suspended()}, "dense"))
    status = {"phase": "Failed", "compressedNodes": packed(nodes), "finishedAt": "2026-11-24T12:00:00Z"}
    patch_workflow(plane, "dense", {"status": status}, tmp_path)
    plane.wait(NAMESPACE, "prun", "dense", lambda found: found.get("status", {}).get("phase") == "Failed")
    plane("patch", "-n", NAMESPACE, "prun", "dense", "--type=merge", "-p", '{"spec":{"retries":1}}')
    run = wait_for(plane, "dense", "Stalled", "RetryImpossible")
    assert "finding the nodes to run again takes more than 5000000 steps" in condition(run, "Stalled")["message"]
    started(plane, pipeline_run({"spec": suspended()}, "after-dense"))


RESERVED = {
    "runwright.dev/attempt": "1",
    "runwright.dev/run": "other",
    "app.kubernetes.io/instance": "app",
    "argocd.argoproj.io/tracking-id": "app:argoproj.io/Workflow:costly/a",
    "workflows.argoproj.io/completed": "true",
}


def test_metadata_that_steers_controllers_stays_out_and_a_retry_runs_again(plane: Kubectl, tmp_path: Path):
    labels = {key: value.replace(":", ".").replace("/", ".") for key, value in RESERVED.items()}
    copied = {"labels": labels | {"team": "a"}, "annotations": RESERVED | {"note": "b"}}
    manifest = workflow(suspended(workflowMetadata=copied), None, **copied)
    made = started(plane, pipeline_run({"manifest": json.dumps(manifest)}, "steered"))
    # Argo copies workflowMetadata over the metadata when it starts the Workflow.
    node = {"name": "steered", "type": "Pod", "phase": "Failed"}
    status = {"phase": "Failed", "nodes": {"steered": node}, "finishedAt": "2026-11-24T12:00:00Z"}
    patch_workflow(plane, "steered", {"metadata": made["spec"]["workflowMetadata"], "status": status}, tmp_path)
    plane.wait(NAMESPACE, "prun", "steered", lambda found: found.get("status", {}).get("phase") == "Failed")
    plane("patch", "-n", NAMESPACE, "prun", "steered", "--type=merge", "-p", '{"spec":{"retries":1}}')

    def again(found: Object) -> bool:
        return found["status"].get("phase") == "Running"

    metadata = plane.wait(NAMESPACE, "workflow", "steered", again)["metadata"]
    assert metadata["annotations"]["runwright.dev/attempt"] == "1"
    assert (metadata["labels"]["team"], metadata["annotations"]["note"]) == ("a", "b")
    found = metadata["labels"] | {"runwright.dev/attempt": "1"}
    assert {key for key in RESERVED if key in found} == {"runwright.dev/run", "runwright.dev/attempt"}
    assert found["runwright.dev/run"] == "steered"
    plane.wait(NAMESPACE, "prun", "steered", lambda run: run["status"].get("retries") == 1 and again(run))


def test_refusal_is_counted_once_and_not_at_each_attempt(plane: Kubectl, probe: str):
    """A missing template is read again with back-off; each new reason of the condition is one refusal."""
    create(plane, pipeline_run({"templateRef": {"name": "absent"}}, "absent"))
    wait_for(plane, "absent", "Stalled", "TemplateNotFound")
    event = next(one for _, one in plane.watch(NAMESPACE, "events", "--field-selector=reason=TemplateNotFound"))
    assert event["involvedObject"]["name"] == "absent"
    create(plane, pipeline_run({"manifest": "kind: [Workflow"}, "unreadable"))
    wait_for(plane, "unreadable", "Stalled", "ManifestUnreadable")
    plane("annotate", "-n", NAMESPACE, "prun", "absent", "seen=again")
    started(plane, pipeline_run({"spec": suspended()}, "after-absent"))
    assert refused_objects(probe, "TemplateNotFound") == 1
    assert refused_objects(probe, "ManifestUnreadable") >= 1
