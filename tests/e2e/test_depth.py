"""One object that is too deep, too wide or too large harms only itself; the operator and the run service go on for all others.

The API server and both processes are real. No controller of Argo runs: the test writes the status of the Workflows.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from runwright.api.labels import IMPORTED_ANNOTATION
from tests.e2e.cluster import Kubectl, Object, condition
from tests.e2e.control_plane import ControlPlane
from tests.e2e.fault_proxy import way_in
from tests.e2e.manifests import instant, pipeline_run
from tests.e2e.processes import Operator, Program, Serve
from tests.e2e.serving import Caller, token_of
from tests.ports import free_port

BAD, GOOD = "tenant-bad", "tenant-good"
MOMENT = "2026-11-26T12:00:00Z"
MEMORY_LIMIT = 512 * 1024 * 1024
"""`resources.limits.memory` of both Deployments."""
LARGE_RUNS = 120
LARGE_BYTES = 1_300_000


@pytest.fixture(scope="module")
def tenants(bare: ControlPlane) -> None:
    for name in (BAD, GOOD):
        bare.kubectl("create", "namespace", name)


@pytest.fixture
def metrics_address() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def operator(stage: ControlPlane, tenants: None, metrics_address: str) -> Iterator[Operator]:
    with Operator(stage.kubeconfig, f"--probe-address={metrics_address}") as process:
        yield process
    assert [line for line in process.errors() if "exception" in line] == []


@pytest.fixture
def serve(stage: ControlPlane, tenants: None) -> Iterator[Serve]:
    with Serve(stage.kubeconfig) as process:
        yield process


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def deep_run(name: str, levels: int) -> str:
    """A run whose spec has this many levels. As text: Python's encoder cannot write it."""
    run = json.dumps(pipeline_run({"spec": {"entrypoint": "a", "x": "DEEP"}}, name))
    return run.replace('"DEEP"', nested(levels))


def create(kubectl: Kubectl, namespace: str, text: str, *arguments: str) -> None:
    kubectl("create", "-n", namespace, "--validate=false", "-f", "-", *arguments, input=text)


def succeed(kubectl: Kubectl, namespace: str, name: str) -> None:
    """Create a run and end its Workflow as Argo would."""
    create(kubectl, namespace, json.dumps(pipeline_run({"spec": instant()}, name)))
    kubectl.wait(namespace, "workflow", name, lambda _: True)
    end_workflow(kubectl, namespace, name)
    kubectl.wait(namespace, "prun", name, lambda run: phase_of(run) == "Succeeded")


def stalled_run(kubectl: Kubectl, name: str) -> Object:
    """The status of a run once it is stalled. Read without its spec, which Python's decoder may not take."""
    kubectl("wait", "-n", BAD, f"prun/{name}", "--for=condition=Stalled", "--timeout=30s")
    status = kubectl("get", "prun", "-n", BAD, name, "-o", "jsonpath={.status}")
    return {"status": json.loads(status)}


def end_workflow(kubectl: Kubectl, namespace: str, name: str, phase: str = "Succeeded") -> None:
    status = {"phase": phase, "startedAt": MOMENT, "finishedAt": MOMENT, "progress": "1/1"}
    kubectl("patch", "workflow", "-n", namespace, name, "--type=merge", "-p", json.dumps({"status": status}))


def phase_of(run: Object) -> str | None:
    return (run.get("status") or {}).get("phase")


def metric(address: str, name: str) -> float:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as reply:
        found = re.search(rf"^{re.escape(name)} (\S+)$", reply.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("levels", [1500, 9900])
def test_deep_run_is_stalled_and_another_tenants_run_succeeds(
    stage: ControlPlane, operator: Operator, metrics_address: str, levels: int
) -> None:
    kubectl, name = stage.kubectl, f"deep-{levels}"
    operator.start()
    create(kubectl, BAD, deep_run(name, levels))
    run = stalled_run(kubectl, name)
    shown = condition(run, "Stalled")
    assert shown["reason"] == "TooDeep"
    assert shown["message"].startswith("spec.workflow.spec is nested deeper than 100 levels")
    assert phase_of(run) == "Pending"
    succeed(kubectl, GOOD, f"after-{levels}")
    events = json.loads(kubectl("get", "events", "-n", BAD, "-o", "json"))["items"]
    assert [one["type"] for one in events if (one["reason"], one["involvedObject"]["name"]) == ("TooDeep", name)] == [
        "Warning"
    ]
    assert metric(metrics_address, 'runwright_objects_refused_total{reason="TooDeep"}') >= 1
    assert kubectl("get", "workflow", "-n", BAD, "-o", "name") == ""
    # With the deep run in the initial list.
    operator.stop()
    operator.start()
    succeed(kubectl, GOOD, f"after-restart-{levels}")
    kubectl("delete", "prun", "-n", BAD, name)
    assert metric(metrics_address, "runwright_watch_restarts_total") == 0


def test_deep_workflow_is_mirrored_and_neither_archived_nor_retried(stage: ControlPlane, operator: Operator) -> None:
    kubectl = stage.kubectl
    operator.start()
    create(kubectl, BAD, json.dumps(pipeline_run({"spec": instant()}, "edited")))
    kubectl.wait(BAD, "workflow", "edited", lambda _: True)
    kubectl("patch", "workflow", "-n", BAD, "edited", "--type=merge", "-p", f'{{"spec":{{"x":{nested(3000)}}}}}')
    end_workflow(kubectl, BAD, "edited", "Failed")
    kubectl.wait(BAD, "prun", "edited", lambda run: phase_of(run) == "Failed")
    kubectl("patch", "prun", "-n", BAD, "edited", "--type=merge", "-p", '{"spec":{"retries":1}}')
    shown = condition(stalled_run(kubectl, "edited"), "Stalled")
    assert shown["reason"] == "RetryImpossible" and "nested deeper" in shown["message"]
    kubectl("label", "prun", "-n", BAD, "edited", "runwright.dev/storage-state=Archived")

    shown = condition(kubectl.wait(BAD, "prun", "edited", lambda run: bool(condition(run, "Archived"))), "Archived")
    assert "nested deeper" in shown["message"], shown
    assert kubectl("get", "workflow", "-n", BAD, "edited", "-o", "name")
    succeed(kubectl, GOOD, "beside-a-deep-workflow")


def test_deep_template_is_named_by_the_run_that_uses_it(stage: ControlPlane, operator: Operator) -> None:
    kubectl = stage.kubectl
    crd = json.loads(kubectl("get", "crd", "workflows.argoproj.io", "-o", "json"))
    names = {"plural": "workflowtemplates", "singular": "workflowtemplate", "kind": "WorkflowTemplate"}
    spec = {**crd["spec"], "names": {**names, "listKind": "WorkflowTemplateList"}}
    stage.install(
        "-f",
        "-",
        input=json.dumps({**crd, "metadata": {"name": "workflowtemplates.argoproj.io"}, "spec": spec, "status": None}),
    )
    template = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": {"name": "deep"}}
    operator.start()
    create(kubectl, BAD, json.dumps({**template, "spec": {"x": "DEEP"}}).replace('"DEEP"', nested(2000)))
    create(kubectl, BAD, json.dumps(pipeline_run({"templateRef": {"name": "deep"}}, "uses-deep")))
    shown = condition(stalled_run(kubectl, "uses-deep"), "Stalled")
    assert shown["reason"] == "TooDeep" and 'WorkflowTemplate "deep"' in shown["message"]


def resident(process: Program) -> int:
    """Bytes of a process that were resident at most."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


async def create_large_runs(plane: ControlPlane) -> None:
    """Runs whose specs are as long as etcd takes them, and which need nothing."""
    server, authority, token = way_in(plane.kubeconfig)
    spec = {**instant(), "x": "x" * LARGE_BYTES}
    path = f"/apis/runwright.dev/v1alpha1/namespaces/{BAD}/pipelineruns"
    turns = asyncio.Semaphore(4)
    async with aiohttp.ClientSession(
        server, connector=aiohttp.TCPConnector(ssl=authority), headers={"Authorization": f"Bearer {token}"}
    ) as session:

        async def create_one(number: int) -> None:
            run = pipeline_run({"spec": spec}, f"large-{number}")
            # The operator leaves it to the import, which writes the status of a run that it creates.
            run["metadata"]["annotations"] = {IMPORTED_ANNOTATION: "test"}
            async with turns, session.post(path, json=run) as reply:
                assert reply.status == 201, await reply.text()

        await asyncio.gather(*(create_one(number) for number in range(LARGE_RUNS)))


def test_large_runs_fit_into_memory_at_each_start(stage: ControlPlane, operator: Operator, serve: Serve) -> None:
    asyncio.run(create_large_runs(stage))
    operator.start()
    succeed(stage.kubectl, GOOD, "beside-large-runs")
    assert resident(operator) < MEMORY_LIMIT
    serve.start()
    assert resident(serve) < MEMORY_LIMIT
    print(resident(operator) >> 20, resident(serve) >> 20)


def test_run_service_lists_beside_a_deep_run(stage: ControlPlane, serve: Serve) -> None:
    kubectl = stage.kubectl
    create(kubectl, BAD, deep_run("listed-before", 2000))
    create(kubectl, GOOD, json.dumps(pipeline_run({"spec": instant()}, "listed")))
    serve.start()
    call = Caller(serve.url, token_of(kubectl, GOOD, "lister", "edit"))
    kubectl(
        "create",
        "clusterrolebinding",
        "lister-of-depth",
        "--clusterrole=cluster-admin",
        f"--serviceaccount={GOOD}:lister",
    )

    def names(namespace: str) -> set[str]:
        reply = call.good(
            "GET", "/runs", **{"resource_reference_key.type": "NAMESPACE", "resource_reference_key.id": namespace}
        )
        return {one["name"] for one in reply.get("runs", ())}

    assert "listed" in names(GOOD) and "listed-before" in names(BAD)
    create(kubectl, BAD, deep_run("listed-after", 9900))
    deadline = time.monotonic() + 20
    while "listed-after" not in names(BAD) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "listed-after" in names(BAD) and "listed" in names(GOOD)
    uid = kubectl("get", "prun", "-n", BAD, "listed-after", "-o", "jsonpath={.metadata.uid}")
    assert call.good("GET", f"/runs/{uid}")["run"]["name"] == "listed-after"
