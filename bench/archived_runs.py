"""Cost of finished runs to an operator, available and archived, compared with an operator without runs; and cost of archiving.

Every figure is of an operator that this measurement starts for its namespace alone, beside the cluster's operator.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from bench.api_writes import operator_calls
from bench.cluster import TIMEOUT, Bench, kubeconfig
from bench.idle import IDLE_SECONDS, wait_until_idle
from bench.progress import show_progress
from bench.table import Row
from bench.workloads import NO_POD
from runwright.api.labels import DELETE_ON_LABEL, STORAGE_STATE_LABEL
from runwright.controller.handlers import AVAILABLE_RUNS
from tests.e2e.audit import WRITES, audit_log, size
from tests.e2e.manifests import pipeline_run
from tests.e2e.process_usage import read_process
from tests.e2e.processes import Operator

COUNT = 2000
WITH_WORKFLOW = 20
"""Number of runs with a Workflow that are archived and unarchived to count the calls."""

NODES = 20
"""Nodes in the status of each run: about 4 KB."""

AT_A_TIME = 16
POLL_SECONDS = 0.2
RESYNC_SECONDS = 10.0
"""Far below the default of 300 s: the steady state includes some resyncs, the start none."""

STEADY_SECONDS = 30.0

GOAL = 1.03
"""Largest ratio of the memory with archived runs to the memory without runs: as much as two starts differ."""

GOAL_WRITES = 3.0
"""Writes to archive a run: snapshot, status, deletion of the Workflow."""


async def measure(bench: Bench, count: int | None) -> list[Row]:
    """Cost of an operator with this many runs. The goals: archived runs cost no memory and no calls."""
    count = count or COUNT
    names = [f"old-{number}" for number in range(count)]
    none = await measure_operator(bench, "no run")
    await for_all(names, "runs created", partial(create_finished, bench))
    await wait_until_no_calls(bench)
    available = await measure_operator(bench, f"{count} available")
    since, began = log_position(), time.monotonic()
    await for_all(names, "runs labelled", partial(set_label, bench, STORAGE_STATE_LABEL, "Archived"))
    await wait_until_archived(bench)
    took = time.monotonic() - began
    archiving = calls_since(bench, since)
    archived = await measure_operator(bench, f"{count} archived")
    await for_all(names, "runs dated", partial(set_label, bench, DELETE_ON_LABEL, "2100-01-01"))
    dated = await measure_operator(bench, "the same, dated")
    for one in (none, available, archived, dated):
        print(f"\r  {one.summary(none)}", flush=True)
    writes = writes_in(archiving) / count
    print(f"  {count} runs without a Workflow were archived in {took:.0f} s ({count / took:.0f}/s)")
    against = "an operator without runs"
    rows = [
        Row(f"memory with {count:,} archived runs", archived.memory, none.memory, "MiB", against, at_most=GOAL),
        Row(f"runs in its initial list, {count:,} archived", archived.objects, None, "", at_most=0),
        Row(f"memory with {count:,} finished runs", available.memory, none.memory, "MiB", against),
    ]
    if audit_log() is None:
        # Without the log, all counts would be 0 and meet their goals.
        print("  calls: not measured: this machine has no audit log of the cluster. Name it with AUDIT_LOG")
        return rows
    print(f"  archiving a run without a Workflow took {writes:.2f} writes")
    rows += [
        Row(f"calls at its start, {count:,} archived", archived.start_calls, none.start_calls, "", against, at_most=1),
        Row("writes to archive a run without a Workflow", writes, None, "", at_most=GOAL_WRITES),
    ]
    return rows + await measure_archiving(bench)


NOT_ARCHIVED = quote("status.storageState!=Archived")


@dataclass(frozen=True)
class Costs:
    """Cost of one operator."""

    runs: str
    """How many runs it has, and in which state."""
    objects: int
    kilobytes: float
    """Size of its initial list of runs."""
    start_seconds: float
    start_cpu: float
    start_calls: int
    memory: float
    """Resident MiB, once it is idle."""
    steady_calls: float
    """Calls a minute while idle."""
    steady_cpu: float
    """Seconds a minute while idle."""

    def summary(self, empty: Costs) -> str:
        """The figures in one line, with their ratios to an operator without runs."""
        return (
            f"{self.runs:<15} {self.objects:>5} runs ({self.kilobytes:>6.0f} kB) in the initial list; idle after "
            f"{self.start_seconds:.1f} s, {self.start_cpu:.2f} s of CPU ({self.start_cpu / empty.start_cpu:.2f}), "
            f"{self.start_calls} calls; memory {self.memory:.1f} MiB ({self.memory / empty.memory:.3f}); then "
            f"{self.steady_calls:.0f} calls a minute, {self.steady_cpu:.2f} s of CPU a minute"
        )


async def measure_operator(bench: Bench, runs: str) -> Costs:
    """Start an operator for the namespace, wait until it is idle, and measure it for STEADY_SECONDS."""
    show_progress(f"an operator with {runs}")
    listed = await bench.call("GET", f"{bench.path('pipelineruns')}?labelSelector={quote(AVAILABLE_RUNS)}")
    with Operator(kubeconfig(), "--namespace", bench.namespace, "--resync", str(RESYNC_SECONDS)) as operator:
        since, began = log_position(), time.monotonic()
        await asyncio.to_thread(operator.start)
        await wait_until_idle(operator.pid)
        seconds = time.monotonic() - began - IDLE_SECONDS
        start_calls, started = calls_since(bench, since), read_process(operator.pid)
        since, began = log_position(), time.monotonic()
        await asyncio.sleep(STEADY_SECONDS)
        minutes = (time.monotonic() - began) / 60
        return Costs(
            runs,
            objects=len(listed["items"]),
            kilobytes=len(json.dumps(listed, separators=(",", ":"))) / 1000,
            start_seconds=seconds,
            start_cpu=started.cpu,
            start_calls=start_calls.total(),
            memory=started.resident,
            steady_calls=calls_since(bench, since).total() / minutes,
            steady_cpu=(read_process(operator.pid).cpu - started.cpu) / minutes,
        )


async def measure_archiving(bench: Bench) -> list[Row]:
    """API calls to archive and to unarchive a run that has a Workflow."""
    names = [f"new-{number}" for number in range(WITH_WORKFLOW)]
    for name in names:
        end = bench.expect("pipelineruns", name, "finished")
        await bench.create("pipelineruns", pipeline_run({"spec": NO_POD}, name))
        await asyncio.wait_for(end, TIMEOUT)
    rows: list[Row] = []
    for done, state, left in (("archived", "Archived", 0), ("unarchived", None, len(names))):
        since = log_position()
        await for_all(names, f"runs {done}", partial(set_label, bench, STORAGE_STATE_LABEL, state))
        await wait_until_count(bench, "workflows", "", left)
        await wait_until_count(bench, "pipelineruns", f"fieldSelector={NOT_ARCHIVED}", left)
        calls = calls_since(bench, since)
        writes = writes_in(calls) / len(names)
        rows.append(Row(f"writes until a run is {done}", writes, None, "", at_most=GOAL_WRITES))
        each = ", ".join(f"{number / len(names):.2f} {call}" for call, number in calls.most_common())
        print(f"\r  a run with a Workflow is {done} by {writes:.2f} writes; all calls: {each}")
    return rows


# ------------------------------------------------------------------------------------------------------------ the runs
async def create_finished(bench: Bench, name: str) -> None:
    """Create a finished run whose status has NODES nodes. It never had a Workflow."""
    at = "2026-01-31T12:00:00Z"
    await bench.create("pipelineruns", pipeline_run({"spec": NO_POD}, name, shutdown="Stop"))
    nodes = [
        {
            "id": f"{name}-{node}",
            "name": f"step-{node}",
            "type": "Pod",
            "phase": "Succeeded",
            "startedAt": at,
            "finishedAt": at,
        }
        for node in range(NODES)
    ]
    succeeded = {"type": "Succeeded", "status": "True", "reason": "Succeeded", "lastTransitionTime": at}
    times = {"startedAt": at, "finishedAt": at, "duration": "0s"}
    status = {"observedGeneration": 1, "phase": "Succeeded", "conditions": [succeeded], **times, "nodes": nodes}
    await bench.call("PATCH", f"{bench.path('pipelineruns')}/{name}/status", {"status": status})


async def set_label(bench: Bench, label: str, value: str | None, name: str) -> None:
    """Set a label of a run; None removes it."""
    await bench.call("PATCH", f"{bench.path('pipelineruns')}/{name}", {"metadata": {"labels": {label: value}}})


async def for_all(names: list[str], done: str, act: Callable[[str], Awaitable[None]]) -> None:
    """Call `act` with each name, AT_A_TIME at a time."""
    left = iter(enumerate(names, 1))

    async def work() -> None:
        for number, name in left:
            await act(name)
            if number % 50 == 0:
                show_progress(f"{number} of {len(names)} {done}")

    await asyncio.gather(*(work() for _ in range(AT_A_TIME)))


async def wait_until_no_calls(bench: Bench) -> None:
    """Return once the cluster's operator makes no calls for IDLE_SECONDS. Raises TimeoutError after TIMEOUT seconds."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            since = log_position()
            await asyncio.sleep(IDLE_SECONDS)
            if not calls_since(bench, since):
                return


async def wait_until_archived(bench: Bench) -> None:
    """Return once all runs are archived."""
    await wait_until_count(bench, "pipelineruns", f"fieldSelector={NOT_ARCHIVED}", 0)


async def wait_until_count(bench: Bench, kind: str, selector: str, count: int) -> None:
    """Return once exactly `count` objects match, at most 99. Raises TimeoutError after TIMEOUT seconds."""
    for _ in range(int(TIMEOUT / POLL_SECONDS)):
        if len((await bench.call("GET", f"{bench.path(kind)}?limit=100&{selector}"))["items"]) == count:
            return
        await asyncio.sleep(POLL_SECONDS)
    raise TimeoutError(f"{kind} with {selector or 'any name'}: expected {count} within {TIMEOUT:.0f} s")


# ---------------------------------------------------------------------------------------------------------- API calls
def log_position() -> int:
    """Size of the audit log in bytes; 0 without a log."""
    log = audit_log()
    return size(log) if log else 0


def calls_since(bench: Bench, since: int) -> Counter[str]:
    """The operators' calls in the namespace after this position of the audit log; none without a log."""
    log = audit_log()
    written, read = operator_calls(log, since, bench.namespace) if log else (Counter[str](), Counter[str]())
    return written + read


def writes_in(calls: Counter[str]) -> int:
    """Number of calls that write."""
    return sum(number for call, number in calls.items() if call.split()[0] in WRITES)
