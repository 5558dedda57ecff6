"""Against a peer that does the same shape of work: Tekton's controller, a TaskRun into a Pod, where ours makes a Workflow of a run.

One after the other on the same machine, each on an API server and etcd of its own where nothing runs: a stand-in moves the Pods as
it moves the Workflows. Tekton's own limit of requests a second is lifted; with it, it would mostly wait.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from bench.many_runs import drive, with_run
from bench.peer import program
from bench.peer.tekton import open_tekton
from bench.stage import Reading, open_stage
from bench.table import Row

COUNT = 2_000
OPTIONS = ("-kube-api-qps=2000", "-kube-api-burst=4000", "-threads-per-controller=32")


@dataclass(frozen=True)
class Found:
    """What an operator took for all its runs."""

    seconds: float
    before: Reading
    after: Reading

    def told(self, count: int) -> str:
        """In a line."""
        made = self.after.requests - self.before.requests
        each = ", ".join(f"{number / count:.2f} {what}" for what, number in made.most_common(5))
        return (
            f"{60 * count / self.seconds:.0f} runs a minute, {1000 * self.cpu / count:.1f} ms of CPU and {made.total() / count:.2f} "
            f"requests a run ({each}); memory {self.before.resident:.0f} MiB empty, {self.after.peak:.0f} MiB at most"
        )

    @property
    def cpu(self) -> float:
        """Seconds."""
        return self.after.cpu - self.before.cpu

    @property
    def requests(self) -> int:
        """To the API server, without watches."""
        return (self.after.requests - self.before.requests).total()


async def measure(count: int | None) -> list[Row]:
    """Rows of speed, CPU, requests and memory; there is no goal."""
    count = count or COUNT
    async with open_stage() as stage:
        before, began = stage.read(), time.perf_counter()
        await drive(count, partial(with_run, stage))
        ours = Found(time.perf_counter() - began, before, stage.read())
    print(f"\r  Runwright: {ours.told(count)}", flush=True)
    async with open_tekton(*OPTIONS) as peer:
        before, began = peer.read(), time.perf_counter()
        await drive(count, peer.carry_out)
        theirs = Found(time.perf_counter() - began, before, peer.read())
    version = program.version()
    print(f"\r  Tekton {version}: {theirs.told(count)}", flush=True)
    against = f"Tekton {version}, TaskRuns"
    return [
        Row("runs a minute", 60 * count / ours.seconds, 60 * count / theirs.seconds, "/min", against),
        Row("operator's CPU a run", 1000 * ours.cpu / count, 1000 * theirs.cpu / count, "ms", against),
        Row("API requests a run", ours.requests / count, theirs.requests / count, "", against),
        Row("operator's memory at most", ours.after.peak, theirs.after.peak, "MiB", against),
    ]
