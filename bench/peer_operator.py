"""Runwright compared with a peer that does work of the same shape: Tekton's controller, which makes a Pod from a TaskRun.

They run one after the other on the same machine, each on an API server and etcd of its own. No pods run: a stand-in writes the
status of Pods and Workflows. Tekton's client-side rate limit is raised, because it would mostly wait for it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from bench.many_runs import carry_out_run, drive
from bench.peer import program
from bench.peer.tekton import open_tekton
from bench.stage import Reading, open_stage
from bench.table import Row

COUNT = 2_000
OPTIONS = ("-kube-api-qps=2000", "-kube-api-burst=4000", "-threads-per-controller=32")


@dataclass(frozen=True)
class Costs:
    """Time, CPU, requests and memory of a controller for all its runs."""

    seconds: float
    before: Reading
    after: Reading

    def summary(self, count: int) -> str:
        """The figures in one line."""
        made = self.after.requests - self.before.requests
        each = ", ".join(f"{number / count:.2f} {call}" for call, number in made.most_common(5))
        return (
            f"{60 * count / self.seconds:.0f} runs a minute; per run {1000 * self.cpu / count:.1f} ms of CPU and "
            f"{made.total() / count:.2f} requests ({each}); memory {self.before.resident:.0f} MiB without runs, "
            f"{self.after.peak:.0f} MiB at most"
        )

    @property
    def cpu(self) -> float:
        """Seconds."""
        return self.after.cpu - self.before.cpu

    @property
    def requests(self) -> int:
        """Requests to the API server, without watches."""
        return (self.after.requests - self.before.requests).total()


async def measure(count: int | None) -> list[Row]:
    """Speed, CPU, requests and memory. No goal."""
    count = count or COUNT
    async with open_stage() as stage:
        before, began = stage.read(), time.perf_counter()
        await drive(count, partial(carry_out_run, stage))
        ours = Costs(time.perf_counter() - began, before, stage.read())
    print(f"\r  Runwright: {ours.summary(count)}", flush=True)
    async with open_tekton(*OPTIONS) as peer:
        before, began = peer.read(), time.perf_counter()
        await drive(count, peer.carry_out)
        theirs = Costs(time.perf_counter() - began, before, peer.read())
    version = program.version()
    print(f"\r  Tekton {version}: {theirs.summary(count)}", flush=True)
    print(f"  CPU per run: {ours.cpu / theirs.cpu:.2f} times Tekton's")
    against = f"Tekton {version}, TaskRuns"
    return [
        Row("runs a minute", 60 * count / ours.seconds, 60 * count / theirs.seconds, "/min", against),
        Row("operator's CPU a run", 1000 * ours.cpu / count, 1000 * theirs.cpu / count, "ms", against),
        Row("API requests a run", ours.requests / count, theirs.requests / count, "", against),
        Row("operator's memory at most", ours.after.peak, theirs.after.peak, "MiB", against),
    ]
