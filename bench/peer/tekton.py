"""Tekton's controller on an API server and etcd of its own, where nothing runs: Pods are moved by a stand-in for a kubelet.

It is the program of the released module, with the CRDs and ConfigMaps of that release. Two parts of an installation are left
out, in its favour: the webhook, which the API server would ask about each TaskRun, and the lease, which our operator does not
take on a stage either.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import urllib.request
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import yaml

from bench.cluster import Bench, session_for
from bench.peer import program
from bench.peer.pods import pod_of, running, succeeded, task_run
from bench.stage import Reading, open_plane, read_process
from tests.e2e.cluster import Object, ended
from tests.e2e.control_plane import ControlPlane, free_port

HOME = "tekton-pipelines"
"""The namespace of Tekton's ConfigMaps; TaskRuns are in another."""

IMAGES = (
    "entrypoint-image",
    "nop-image",
    "shell-image",
    "shell-image-win",
    "sidecarlogresults-image",
    "workingdirinit-image",
)
"""What the controller puts into Pods beside a step. Nothing runs here, so that none of them is fetched."""

READY_SECONDS = 60.0
REQUESTS = re.compile(r"^\w+_client_results\{([^}]*)\} (\S+)$", re.MULTILINE)
METHOD = re.compile(r'\bmethod="([^"]+)"')


class TaskBench(Bench):
    """A namespace with TaskRuns and their Pods, and watches on the two kinds in it."""

    def path(self, kind: str) -> str:
        """Where the API server has the namespace's objects of a kind (`taskruns`, `pods`)."""
        return f"{'/api/v1' if kind == 'pods' else '/apis/tekton.dev/v1'}/namespaces/{self.namespace}/{kind}"

    def _tell(self, kind: str, event: Object) -> None:
        if kind == "taskruns" and event["type"] != "ERROR":
            found = event["object"]
            event = {**event, "object": {**found, "status": {"phase": phase_of(found)}}}
        super()._tell(kind, event)


class TektonStage:
    """Tekton's controller, and what it works on."""

    def __init__(self, bench: TaskBench, pid: int, metrics: str) -> None:
        self.bench = bench
        self._pid, self._metrics = pid, metrics

    def read(self) -> Reading:
        """What the controller has used so far; of its requests only the HTTP method is known."""
        with urllib.request.urlopen(self._metrics, timeout=30) as reply:
            return read_process(self._pid, requests_in(reply.read().decode()))

    async def carry_out(self, name: str) -> None:
        """Create a TaskRun, carry out its Pod as the kubelet would, and return once the TaskRun is told of as succeeded."""
        created = self.bench.expect("pods", pod_of(name), "created")
        finished = self.bench.expect("taskruns", name, "finished")
        await self.bench.create("taskruns", task_run(name))
        await created
        for status in (running(), succeeded()):
            await self.bench.call("PATCH", f"{self.bench.path('pods')}/{pod_of(name)}/status", {"status": status})
        await finished


@asynccontextmanager
async def open_tekton(*options: str) -> AsyncGenerator[TektonStage]:
    """Within it, Tekton's controller with these options, which has carried out one TaskRun.

    Raises RuntimeError where the programs of a control plane are not built on this machine, or the controller cannot be.
    """
    executable = await asyncio.to_thread(program.controller)
    async with AsyncExitStack() as stack:
        plane, folder = stack.enter_context(open_plane())
        await asyncio.to_thread(install, plane)
        session = await stack.enter_async_context(session_for(plane.kubeconfig))
        bench = TaskBench(session, "default")
        for kind in ("taskruns", "pods"):
            await stack.enter_async_context(followed(bench, kind))
        metrics = small_port()
        process = stack.enter_context(started(executable, plane.kubeconfig, folder / "tekton.log", metrics, options))
        stage = TektonStage(bench, process.pid, f"http://127.0.0.1:{metrics}/metrics")
        try:
            await asyncio.wait_for(stage.carry_out("first"), READY_SECONDS)
        except TimeoutError:
            said = (folder / "tekton.log").read_text()[-3000:]
            raise RuntimeError(
                f"Tekton did not carry out a TaskRun in {READY_SECONDS:.0f} s; it said:\n{said}"
            ) from None
        yield stage


def install(plane: ControlPlane) -> None:
    """Tekton's CRDs without the conversion webhook, its ConfigMaps, and the account that its Pods would run as."""
    released = program.configuration()
    kinds = [without_conversion(yaml.safe_load(file.read_text())) for file in sorted(released.glob("300-crds/*.yaml"))]
    plane.install("-f", "-", input=json.dumps(a_list(kinds)))
    plane.kubectl("create", "namespace", HOME)
    maps = [yaml.safe_load(file.read_text()) for file in sorted(released.glob("config-*.yaml"))]
    plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(a_list(maps)))
    # The controller manager would make it; there is none here, and Tekton reads its secrets before it makes a Pod.
    plane.kubectl("create", "serviceaccount", "default", "-n", "default")


def without_conversion(kind: Object) -> Object:
    """The CRD for an API server that has no webhook to ask: only objects of its stored version are used."""
    return {**kind, "spec": {key: value for key, value in kind["spec"].items() if key != "conversion"}}


def a_list(items: list[Object]) -> Object:
    """The objects as one that kubectl takes."""
    return {"apiVersion": "v1", "kind": "List", "items": items}


@contextmanager
def started(
    executable: Path, kubeconfig: Path, log: Path, metrics: int, options: tuple[str, ...]
) -> Iterator[subprocess.Popen[bytes]]:
    """Within it, the controller runs, with its metrics on this port of loopback."""
    images = [f"-{name}=tekton.test/{name}:none" for name in IMAGES]
    environment = os.environ | {
        "SYSTEM_NAMESPACE": HOME,
        "CONFIG_LEADERELECTION_NAME": "config-leader-election-controller",
        "METRICS_DOMAIN": "tekton.dev/pipeline",
        "METRICS_PROMETHEUS_HOST": "127.0.0.1",
        "METRICS_PROMETHEUS_PORT": str(metrics),
        "PROBES_PORT": str(free_port()),
        "PROFILING_PORT": str(free_port()),
    }
    command = [str(executable), "-kubeconfig", str(kubeconfig), "-disable-ha", *images, *options]
    with (
        log.open("wb") as said,
        subprocess.Popen(command, env=environment, stdout=said, stderr=said) as process,
        ended(process),
    ):
        yield process


@asynccontextmanager
async def followed(bench: TaskBench, kind: str) -> AsyncGenerator[None]:
    """Within it, the objects of a kind are watched."""
    async with asyncio.TaskGroup() as group:
        ready = asyncio.Event()
        watch = group.create_task(bench.follow(kind, ready))
        await asyncio.wait_for(ready.wait(), 30)
        try:
            yield
        finally:
            watch.cancel()


def small_port() -> int:
    """A free port that fits into 15 bits, in which the controller reads the one of its metrics.

    Raises RuntimeError where there is none.
    """
    for port in range(20_000, 32_000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port of loopback from 20000 to 32000 is free")


def phase_of(found: Object) -> str:
    """How a TaskRun stands, in the words for our runs. Raises RuntimeError where it has failed: none may, here."""
    conditions: list[Object] = (found.get("status") or {}).get("conditions") or []
    told = next((one for one in conditions if one["type"] == "Succeeded"), {"status": "Unknown"})
    if told["status"] == "False":
        raise RuntimeError(f"TaskRun {found['metadata']['name']} failed: {told}")
    return "Succeeded" if told["status"] == "True" else "Running"


def requests_in(text: str) -> Counter[str]:
    """The requests to the API server that a controller's metrics tell of, by HTTP method."""
    counts: Counter[str] = Counter()
    for labels, count in REQUESTS.findall(text):
        method = METHOD.search(labels)
        counts[method[1] if method else "?"] += int(float(count))
    return counts
