"""One object that is too deep, too wide or too large harms only itself; the operator and the run service go on for all others.

The API server and both processes are real. No controller of Argo runs: the test writes the status of the Workflows.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from runwright.api.labels import IMPORTED_ANNOTATION
from tests.e2e.cluster import WAIT_SECONDS, Kubectl, Object, condition
from tests.e2e.conftest import REPOSITORY
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
def plane(bare: ControlPlane, argo_kind: str) -> ControlPlane:
    """An API server with the kinds, and two tenants."""
    bare.install("-k", str(REPOSITORY / "crds"))
    bare.install("-f", "-", input=argo_kind)
    for name in (BAD, GOOD):
        bare.kubectl("create", "namespace", name)
    return bare


@pytest.fixture(scope="module")
def token(plane: ControlPlane) -> str:
    """A token that may list the runs of both tenants."""
    token = token_of(plane.kubectl, GOOD, "lister", None)
    account = f"--serviceaccount={GOOD}:lister"
    plane.kubectl("create", "clusterrolebinding", "lister", "--clusterrole=cluster-admin", account)
    return token


@pytest.fixture
def metrics_address() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def operator(plane: ControlPlane, metrics_address: str) -> Iterator[Operator]:
    with Operator(plane.kubeconfig, f"--probe-address={metrics_address}") as process:
        yield process
    assert [line for line in process.errors() if "exception" in line] == []


@pytest.fixture
def serve(plane: ControlPlane) -> Iterator[Serve]:
    with Serve(plane.kubeconfig) as process:
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


def test_deep_runs_are_stalled_and_another_tenants_run_succeeds(
    plane: ControlPlane, operator: Operator, metrics_address: str
) -> None:
    kubectl = plane.kubectl
    operator.start()
    for levels in (1500, 9900):
        create(kubectl, BAD, deep_run(f"deep-{levels}", levels))
    succeed(kubectl, GOOD, "after-deep-runs")
    for levels in (1500, 9900):
        run = stalled_run(kubectl, f"deep-{levels}")
        shown = condition(run, "Stalled")
        assert shown["reason"] == "TooDeep" and phase_of(run) == "Pending"
        assert shown["message"].startswith("spec.workflow.spec is nested deeper than 100 levels")
    events = json.loads(kubectl("get", "events", "-n", BAD, "-o", "json"))["items"]
    about = {one["involvedObject"]["name"] for one in events if (one["type"], one["reason"]) == ("Warning", "TooDeep")}
    assert about == {"deep-1500", "deep-9900"}
    assert metric(metrics_address, 'runwright_objects_refused_total{reason="TooDeep"}') >= 2
    assert kubectl("get", "workflow", "-n", BAD, "-o", "name") == ""
    assert metric(metrics_address, "runwright_watch_restarts_total") == 0
    # With the deep runs in the initial list.
    operator.stop()
    operator.start()
    succeed(kubectl, GOOD, "after-restart")
    assert metric(metrics_address, "runwright_watch_restarts_total") == 0


def test_deep_workflow_is_mirrored_and_neither_archived_nor_retried(plane: ControlPlane, operator: Operator) -> None:
    kubectl = plane.kubectl
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


def test_deep_template_is_named_by_the_run_that_uses_it(plane: ControlPlane, operator: Operator) -> None:
    kubectl = plane.kubectl
    crd = json.loads(kubectl("get", "crd", "workflows.argoproj.io", "-o", "json"))
    names = {"plural": "workflowtemplates", "singular": "workflowtemplate", "kind": "WorkflowTemplate"}
    spec = {**crd["spec"], "names": {**names, "listKind": "WorkflowTemplateList"}}
    plane.install(
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


def listed(serve: Serve, token: str, namespace: str, until: Callable[[set[str]], bool]) -> set[str]:
    """Names of the runs that the service lists, once `until` holds; it refuses lists until it has read all runs."""
    call, names = Caller(serve.url, token), set[str]()
    key: Any = {"resource_reference_key.type": "NAMESPACE", "resource_reference_key.id": namespace}
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        status, reply = call("GET", "/runs", page_size=200, **key)
        names = {one["name"] for one in reply.get("runs", ())}
        if status == 200 and until(names):
            break
        time.sleep(0.2)
    return names


def test_run_service_lists_beside_a_deep_run(plane: ControlPlane, serve: Serve, token: str) -> None:
    kubectl = plane.kubectl
    create(kubectl, BAD, deep_run("listed-before", 2000))
    create(kubectl, GOOD, json.dumps(pipeline_run({"spec": instant()}, "listed")))
    serve.start()
    assert "listed" in listed(serve, token, GOOD, lambda names: "listed" in names)
    assert "listed-before" in listed(serve, token, BAD, bool)
    create(kubectl, BAD, deep_run("listed-after", 9900))
    assert "listed-after" in listed(serve, token, BAD, lambda names: "listed-after" in names)
    assert "listed" in listed(serve, token, GOOD, bool)
    uid = kubectl("get", "prun", "-n", BAD, "listed-after", "-o", "jsonpath={.metadata.uid}")
    assert Caller(serve.url, token).good("GET", f"/runs/{uid}")["run"]["name"] == "listed-after"


@pytest.mark.timeout(180)
def test_large_runs_fit_into_memory_at_each_start(
    plane: ControlPlane, operator: Operator, serve: Serve, token: str
) -> None:
    asyncio.run(create_large_runs(plane))
    operator.start()
    succeed(plane.kubectl, GOOD, "beside-large-runs")
    assert resident(operator) < MEMORY_LIMIT
    serve.start()
    assert "beside-large-runs" in listed(serve, token, GOOD, bool)
    assert resident(serve) < MEMORY_LIMIT
