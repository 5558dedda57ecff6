"""An API server, etcd and operator of the measurement's own, where nothing runs: Workflows are moved by a stand-in for Argo.

So thousands of runs can be driven through on two cores. What is measured is the operator and the API server; the stand-in and the
measurement itself share the machine with them, which makes every figure worse than it is.
"""

from __future__ import annotations

import asyncio
import os
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
from tests.e2e.processes import Operator, free_port

CRDS = Path(__file__).resolve().parents[1] / "crds"
REQUEST = re.compile(
    r'^runwright_api_request_duration_seconds_count\{code="\d+",resource="([^"]+)",verb="([^"]+)"\} (\S+)$',
    re.MULTILINE,
)
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Reading:
    """What the operator has used until a moment."""

    cpu: float
    """Seconds."""
    resident: float
    """MiB."""
    peak: float
    """MiB, since it was started."""
    requests: Counter[str]
    """By verb and resource, such as `patch pipelineruns/status`, without the watches."""


def read_process(pid: int, requests: Counter[str]) -> Reading:
    """What a process has used so far; of its requests it has told itself."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))
    seconds = (int(fields[11]) + int(fields[12])) / TICK
    return Reading(seconds, int(status["VmRSS"]) / 1024, int(status["VmHWM"]) / 1024, requests)


class Stage:
    """The operator, and what it works on."""

    def __init__(self, bench: Bench, operator: Operator, probe: str, plane: ControlPlane) -> None:
        self.bench = bench
        self.operator = operator
        self.plane = plane
        self._probe = probe

    def read(self) -> Reading:
        """What the operator has used so far."""
        with urllib.request.urlopen(f"http://{self._probe}/metrics", timeout=30) as reply:
            text = reply.read().decode()
        requests: Counter[str] = Counter()
        for resource, verb, count in REQUEST.findall(text):
            requests[f"{verb} {resource}"] += int(float(count))
        return read_process(self.operator.pid, requests)

    async def move(self, name: str, phase: str, **status: object) -> None:
        """Write into a Workflow's status what Argo's controller would."""
        moment = "2026-11-26T12:00:00Z"
        told: Object = {"phase": phase, "startedAt": moment, "progress": "0/1"}
        if phase != "Running":
            told |= {"finishedAt": "2026-11-26T12:00:07Z", "progress": "1/1"}
        await self.bench.call("PATCH", f"{self.bench.path('workflows')}/{name}", {"status": told | status})


@contextmanager
def open_plane(etcd_options: tuple[str, ...] = ()) -> Iterator[tuple[ControlPlane, Path]]:
    """Within it, an etcd and an API server without any kind of ours, and the folder that they and others may write to.

    Raises RuntimeError where their programs are not built on this machine.
    """
    built = programs()
    if built is None:
        raise RuntimeError("etcd and kube-apiserver are not built here: run `make cluster` without KUBECONFIG first")
    with tempfile.TemporaryDirectory(prefix="runwright-bench-") as name:
        folder = Path(name)
        with ControlPlane(folder, built, etcd_options=etcd_options) as plane:
            yield plane, folder


@asynccontextmanager
async def open_stage(*options: str) -> AsyncGenerator[Stage]:
    """Within it, an operator with these options that has nothing to do yet. Raises RuntimeError as `open_plane`."""
    with open_plane() as (plane, _):
        async with stage_on(plane, *options) as stage:
            yield stage


@asynccontextmanager
async def stage_on(plane: ControlPlane, *options: str) -> AsyncGenerator[Stage]:
    """The same, on a control plane that is there and has no kinds yet."""
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
    """Our CRDs and Argo's."""
    workflows = binaries.argo_source() / "manifests" / "base" / "crds" / "minimal" / "argoproj.io_workflows.yaml"
    plane.install("-k", str(CRDS))
    plane.install("-f", str(workflows))
