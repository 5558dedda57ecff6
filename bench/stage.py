"""A stage: an API server, etcd and operator for one measurement. No pods run; a stand-in for Argo writes the Workflows' status.

This drives thousands of runs through the operator on two cores. It measures the operator and the API server. The stand-in and the
measurement use the same cores, so every figure is worse than on a cluster.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import urllib.request
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.cluster import Bench, follow_both, session_for
from deploy.local.localcluster import binaries
from tests.e2e.cluster import Object
from tests.e2e.control_plane import ControlPlane, programs
from tests.e2e.process_usage import Usage, read_process
from tests.e2e.processes import Operator
from tests.ports import free_port

CRDS = Path(__file__).resolve().parents[1] / "crds"
REQUEST = re.compile(
    r'^runwright_api_request_duration_seconds_count\{code="\d+",resource="([^"]+)",verb="([^"]+)"\} (\S+)$',
    re.MULTILINE,
)


@dataclass(frozen=True)
class Reading(Usage):
    """CPU time, memory and API requests of a controller so far."""

    requests: Counter[str]
    """By verb and resource, such as `patch pipelineruns/status`, without the watches."""


def read_controller(pid: int, requests: Counter[str]) -> Reading:
    """The process's CPU time and memory, with the requests from its metrics."""
    usage = read_process(pid)
    return Reading(usage.cpu, usage.resident, usage.peak, requests)


class Stage:
    """The operator, its control plane and a client."""

    def __init__(self, bench: Bench, operator: Operator, probe: str, plane: ControlPlane) -> None:
        self.bench = bench
        self.operator = operator
        self.plane = plane
        self._probe = probe

    def read(self) -> Reading:
        """CPU time, memory and API requests of the operator so far."""
        with urllib.request.urlopen(f"http://{self._probe}/metrics", timeout=30) as reply:
            text = reply.read().decode()
        requests: Counter[str] = Counter()
        for resource, verb, count in REQUEST.findall(text):
            requests[f"{verb} {resource}"] += int(float(count))
        return read_controller(self.operator.pid, requests)

    async def set_phase(self, name: str, phase: str, **status: object) -> None:
        """Write a Workflow's status as Argo's controller does."""
        moment = "2026-11-26T12:00:00Z"
        written: Object = {"phase": phase, "startedAt": moment, "progress": "0/1"}
        if phase != "Running":
            written |= {"finishedAt": "2026-11-26T12:00:07Z", "progress": "1/1"}
        await self.bench.call("PATCH", f"{self.bench.path('workflows')}/{name}", {"status": written | status})


@contextmanager
def open_plane(etcd_options: tuple[str, ...] = ()) -> Iterator[tuple[ControlPlane, Path]]:
    """Runs etcd and an API server without our CRDs; gives them and a scratch folder.

    Raises RuntimeError if their programs are not built on this machine.
    """
    built = programs()
    if built is None:
        raise RuntimeError(
            "etcd and kube-apiserver are not built on this machine: run `make cluster` without KUBECONFIG"
        )
    with tempfile.TemporaryDirectory(prefix="runwright-bench-") as name:
        folder = Path(name)
        with ControlPlane(folder, built, etcd_options=etcd_options) as plane:
            yield plane, folder


@asynccontextmanager
async def open_stage(*options: str) -> AsyncGenerator[Stage]:
    """Runs an operator with these options on a new control plane. Raises RuntimeError as `open_plane`."""
    with open_plane() as (plane, _):
        async with stage_on(plane, *options) as stage:
            yield stage


@asynccontextmanager
async def stage_on(plane: ControlPlane, *options: str) -> AsyncGenerator[Stage]:
    """Installs the CRDs on this control plane and runs an operator with these options."""
    async with AsyncExitStack() as stack:
        install_kinds(plane)
        session = await stack.enter_async_context(session_for(plane.kubeconfig))
        bench = Bench(session, "default")
        bench.version = f"Kubernetes {(await bench.call('GET', '/version'))['gitVersion']}"
        await stack.enter_async_context(follow_both(bench))
        probe = f"127.0.0.1:{free_port()}"
        operator = stack.enter_context(Operator(plane.kubeconfig, f"--probe-address={probe}", *options))
        await asyncio.to_thread(operator.start)
        yield Stage(bench, operator, probe, plane)


def install_kinds(plane: ControlPlane) -> None:
    """Installs Runwright's CRDs and Argo's Workflow CRD."""
    workflows = binaries.argo_source() / "manifests" / "base" / "crds" / "minimal" / "argoproj.io_workflows.yaml"
    plane.install("-k", str(CRDS))
    plane.install("-f", str(workflows))
