"""Tekton's controller on an API server and etcd of its own. No pods run; a stand-in for the kubelet writes their status.

The controller, CRDs and ConfigMaps are those of the release. Two parts of an installation are left out, in Tekton's favour: the
admission webhook for each TaskRun, and leader election, which Runwright's operator does not use on a stage either.
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
from bench.stage import Reading, open_plane, read_controller
from tests.e2e.cluster import Object, ended
from tests.e2e.control_plane import ControlPlane
from tests.ports import free_port

HOME = "tekton-pipelines"
"""The namespace of Tekton's ConfigMaps. TaskRuns are in another namespace."""

IMAGES = (
    "entrypoint-image",
    "nop-image",
    "shell-image",
    "shell-image-win",
    "sidecarlogresults-image",
    "workingdirinit-image",
)
"""Images that the controller adds to Pods. No pod runs, so none is pulled."""

READY_SECONDS = 60.0
REQUESTS = re.compile(r"^\w+_client_results(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


class TaskBench(Bench):
    """A namespace with watches on its TaskRuns and Pods."""

    def path(self, kind: str) -> str:
        """API path of the namespace's objects of a kind (`taskruns`, `pods`)."""
        return f"{'/api/v1' if kind == 'pods' else '/apis/tekton.dev/v1'}/namespaces/{self.namespace}/{kind}"

    def _record(self, kind: str, event: Object) -> None:
        if kind == "taskruns" and event["type"] != "ERROR":
            found = event["object"]
            event = {**event, "object": {**found, "status": {"phase": phase_of(found)}}}
        super()._record(kind, event)


class TektonStage:
    """Tekton's controller, its control plane and a client."""

    def __init__(self, bench: TaskBench, pid: int, metrics: str) -> None:
        self.bench = bench
        self._pid, self._metrics = pid, metrics

    def read(self) -> Reading:
        """CPU time, memory and API requests of the controller so far. Its metrics have neither verb nor resource."""
        with urllib.request.urlopen(self._metrics, timeout=30) as reply:  # noqa: S310 - an address on loopback
            return read_controller(self._pid, requests_in(reply.read().decode()))

    async def carry_out(self, name: str) -> None:
        """Create a TaskRun, write its Pod's status as the kubelet does, and wait for the TaskRun's end."""
        created = self.bench.expect("pods", pod_of(name), "created")
        finished = self.bench.expect("taskruns", name, "finished")
        await self.bench.create("taskruns", task_run(name))
        await created
        for status in (running(), succeeded()):
            await self.bench.call("PATCH", f"{self.bench.path('pods')}/{pod_of(name)}/status", {"status": status})
        await finished


@asynccontextmanager
async def open_tekton(*options: str) -> AsyncGenerator[TektonStage]:
    """Runs Tekton's controller with these options until it has carried out one TaskRun.

    Raises RuntimeError as `open_plane`, if the controller cannot be built, or if the TaskRun does not end in READY_SECONDS.
    """
    executable = await asyncio.to_thread(program.controller)
    async with AsyncExitStack() as stack:
        plane, folder = stack.enter_context(open_plane())
        await asyncio.to_thread(install, plane)
        session = await stack.enter_async_context(session_for(plane.kubeconfig))
        bench = TaskBench(session, "default")
        for kind in ("taskruns", "pods"):
            await stack.enter_async_context(follow_kind(bench, kind))
        metrics = free_port_of_15_bits()
        process = stack.enter_context(
            run_controller(executable, plane.kubeconfig, folder / "tekton.log", metrics, options)
        )
        stage = TektonStage(bench, process.pid, f"http://127.0.0.1:{metrics}/metrics")
        try:
            await asyncio.wait_for(stage.carry_out("first"), READY_SECONDS)
        except TimeoutError:
            log = (folder / "tekton.log").read_text()[-3000:]
            raise RuntimeError(
                f"Tekton did not carry out a TaskRun in {READY_SECONDS:.0f} s; its log ends with:\n{log}"
            ) from None
        yield stage


def install(plane: ControlPlane) -> None:
    """Install Tekton's CRDs without the conversion webhook, its ConfigMaps, and the service account of its Pods."""
    released = program.configuration()
    kinds = [without_conversion(yaml.safe_load(file.read_text())) for file in sorted(released.glob("300-crds/*.yaml"))]
    plane.install("-f", "-", input=json.dumps(list_of(kinds)))
    plane.kubectl("create", "namespace", HOME)
    maps = [yaml.safe_load(file.read_text()) for file in sorted(released.glob("config-*.yaml"))]
    plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(list_of(maps)))
    # There is no controller manager to create it, and Tekton reads its secrets before it creates a Pod.
    plane.kubectl("create", "serviceaccount", "default", "-n", "default")


def without_conversion(kind: Object) -> Object:
    """The CRD without its conversion webhook. Only objects of the stored version are used."""
    return {**kind, "spec": {key: value for key, value in kind["spec"].items() if key != "conversion"}}


def list_of(items: list[Object]) -> Object:
    """A Kubernetes List of the objects."""
    return {"apiVersion": "v1", "kind": "List", "items": items}


@contextmanager
def run_controller(
    executable: Path, kubeconfig: Path, log: Path, metrics: int, options: tuple[str, ...]
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the controller, with its metrics on this loopback port."""
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
        log.open("wb") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process,
        ended(process),
    ):
        yield process


@asynccontextmanager
async def follow_kind(bench: TaskBench, kind: str) -> AsyncGenerator[None]:
    """Watches the objects of a kind."""
    async with asyncio.TaskGroup() as group:
        ready = asyncio.Event()
        watch = group.create_task(bench.follow(kind, ready))
        await asyncio.wait_for(ready.wait(), 30)
        try:
            yield
        finally:
            watch.cancel()


def free_port_of_15_bits() -> int:
    """A free port below 32768: the controller parses its metrics port as a 16-bit signed integer.

    Raises RuntimeError if none is free.
    """
    for port in range(20_000, 32_000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no loopback port from 20000 to 31999 is free")


def phase_of(found: Object) -> str:
    """The TaskRun's phase, as a PipelineRun's. Raises RuntimeError if it failed."""
    conditions: list[Object] = (found.get("status") or {}).get("conditions") or []
    succeeded = next((one for one in conditions if one["type"] == "Succeeded"), {"status": "Unknown"})
    if succeeded["status"] == "False":
        raise RuntimeError(f"TaskRun {found['metadata']['name']} failed: {succeeded}")
    return "Succeeded" if succeeded["status"] == "True" else "Running"


def requests_in(text: str) -> Counter[str]:
    """The API requests in the controller's metrics, under the one name `any verb`."""
    return Counter({"any verb": sum(int(float(count)) for count in REQUESTS.findall(text))})
