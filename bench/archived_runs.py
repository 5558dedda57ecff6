"""What finished runs cost an operator, available and archived, against none at all; and what archiving one costs.

Each time an operator of the measurement's own is started for its namespace alone, beside the one of the cluster.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from bench.api_writes import operator_calls
from bench.cluster import TIMEOUT, Bench, kubeconfig
from bench.table import Row
from bench.workloads import NO_POD
from runwright.api.labels import DELETE_ON_LABEL, STORAGE_STATE_LABEL
from runwright.controller.handlers import AVAILABLE_RUNS
from tests.e2e.audit import WRITES, audit_log, size
from tests.e2e.manifests import pipeline_run
from tests.e2e.processes import Operator

COUNT = 2000
WITH_WORKFLOW = 20
"""Runs whose archiving is counted call by call."""

NODES = 20
"""In the status of each run: about 4 KB."""

AT_A_TIME = 16
POLL_SECONDS = 0.2
RESYNC_SECONDS = 10.0
"""Far below its default of 300, so that some looks for missed events are in the steady state, and none in the start."""

STEADY_SECONDS = 30.0
REST_SECONDS = 2.0
REST_SHARE = 0.05
"""An operator rests that uses less than this share of a core for that long."""

GOAL = 1.03
"""Most that an operator's memory may be with archived runs, of that without any run: as much as two starts differ."""

GOAL_WRITES = 3.0
"""Of archiving: snapshot, status, deletion of the Workflow."""


async def measure(bench: Bench, count: int | None) -> list[Row]:
    """What an operator with so many runs uses; the goals: archived ones cost it no memory and no calls."""
    count = count or COUNT
    names = [f"old-{number}" for number in range(count)]
    none = await costs(bench, "no run")
    await for_all(names, "runs created", partial(create_finished, bench))
    await until_quiet(bench)
    available = await costs(bench, f"{count} available")
    since, began = mark(), time.monotonic()
    await for_all(names, "runs labelled", partial(set_label, bench, STORAGE_STATE_LABEL, "Archived"))
    await until_archived(bench)
    took = time.monotonic() - began
    archiving = calls_since(bench, since)
    archived = await costs(bench, f"{count} archived")
    await for_all(names, "runs dated", partial(set_label, bench, DELETE_ON_LABEL, "2100-01-01"))
    dated = await costs(bench, "the same, dated")
    for one in (none, available, archived, dated):
        print(f"\r  {one.told(none)}", flush=True)
    writes = writes_in(archiving) / count
    print(f"  {count} runs without a Workflow were archived in {took:.0f} s ({count / took:.0f}/s)")
    against = "an operator without runs"
    rows = [
        Row(f"memory with {count:,} archived runs", archived.memory, none.memory, "MiB", against, at_most=GOAL),
        Row(f"runs it is told of, {count:,} archived", archived.objects, None, "", at_most=0),
        Row(f"memory with {count:,} finished runs", available.memory, none.memory, "MiB", against),
    ]
    if audit_log() is None:
        # No call would be counted, and every goal of calls be met.
        print("  calls: not measured, since this machine has no audit log of the cluster: AUDIT_LOG names it")
        return rows
    print(f"  archiving a run without a Workflow took {writes:.2f} writes")
    rows += [
        Row(f"calls at its start, {count:,} archived", archived.start_calls, none.start_calls, "", against, at_most=1),
        Row("writes to archive a run without a Workflow", writes, None, "", at_most=GOAL_WRITES),
    ]
    return rows + await calls_of_one(bench)


NOT_ARCHIVED = quote("status.storageState!=Archived")


@dataclass(frozen=True)
class Costs:
    """What one operator used."""

    what: str
    objects: int
    kilobytes: float
    """What its watch of the runs begins with."""
    start_seconds: float
    start_cpu: float
    start_calls: int
    memory: float
    """MiB resident, once it rests."""
    steady_calls: float
    """A minute."""
    steady_cpu: float
    """Seconds a minute."""

    def told(self, empty: Costs) -> str:
        """In a line, with its ratios to an operator without runs."""
        return (
            f"{self.what:<15} told of {self.objects:>5} runs ({self.kilobytes:>6.0f} kB) at its start; at rest after "
            f"{self.start_seconds:.1f} s, {self.start_cpu:.2f} s of CPU ({self.start_cpu / empty.start_cpu:.2f}), "
            f"{self.start_calls} calls; memory {self.memory:.1f} MiB ({self.memory / empty.memory:.3f}); then "
            f"{self.steady_calls:.0f} calls a minute, {self.steady_cpu:.2f} s of CPU a minute"
        )


async def costs(bench: Bench, what: str) -> Costs:
    """Start an operator for the namespace, wait until it rests, and watch it for a while."""
    say(f"an operator with {what}")
    told = await bench.call("GET", f"{bench.path('pipelineruns')}?labelSelector={quote(AVAILABLE_RUNS)}")
    with Operator(kubeconfig(), "--namespace", bench.namespace, "--resync", str(RESYNC_SECONDS)) as operator:
        since, began = mark(), time.monotonic()
        await asyncio.to_thread(operator.start)
        await until_at_rest(operator.pid)
        seconds = time.monotonic() - began - REST_SECONDS
        start_calls, start_cpu, memory = calls_since(bench, since), cpu(operator.pid), resident(operator.pid)
        since, began = mark(), time.monotonic()
        await asyncio.sleep(STEADY_SECONDS)
        minutes = (time.monotonic() - began) / 60
        return Costs(
            what,
            objects=len(told["items"]),
            kilobytes=len(json.dumps(told, separators=(",", ":"))) / 1000,
            start_seconds=seconds,
            start_cpu=start_cpu,
            start_calls=start_calls.total(),
            memory=memory,
            steady_calls=calls_since(bench, since).total() / minutes,
            steady_cpu=(cpu(operator.pid) - start_cpu) / minutes,
        )


async def calls_of_one(bench: Bench) -> list[Row]:
    """What archiving a run with a Workflow, and bringing it back, asks of the API server."""
    names = [f"new-{number}" for number in range(WITH_WORKFLOW)]
    for name in names:
        end = bench.expect("pipelineruns", name, "finished")
        await bench.create("pipelineruns", pipeline_run({"spec": NO_POD}, name))
        await asyncio.wait_for(end, TIMEOUT)
    rows: list[Row] = []
    for what, state, left in (("archived", "Archived", 0), ("brought back", None, len(names))):
        since = mark()
        await for_all(names, f"runs {what}", partial(set_label, bench, STORAGE_STATE_LABEL, state))
        await until_so_many(bench, "workflows", "", left)
        await until_so_many(bench, "pipelineruns", f"fieldSelector={NOT_ARCHIVED}", left)
        calls = calls_since(bench, since)
        writes = writes_in(calls) / len(names)
        rows.append(Row(f"writes until a run is {what}", writes, None, "", at_most=GOAL_WRITES))
        told = ", ".join(f"{number / len(names):.2f} {call}" for call, number in calls.most_common())
        print(f"\r  a run with a Workflow is {what} by {writes:.2f} writes; all calls: {told}")
    return rows


# ------------------------------------------------------------------------------------------------------------ the runs
async def create_finished(bench: Bench, name: str) -> None:
    """A run that has ended, with a status as large as one of twenty nodes; nobody has ever run it."""
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
    await bench.call("PATCH", f"{bench.path('pipelineruns')}/{name}", {"metadata": {"labels": {label: value}}})


async def for_all(names: list[str], what: str, do: Callable[[str], Awaitable[None]]) -> None:
    """Do it for each name, some at a time."""
    left = iter(enumerate(names, 1))

    async def work() -> None:
        for number, name in left:
            await do(name)
            if number % 50 == 0:
                say(f"{number} of {len(names)} {what}")

    await asyncio.gather(*(work() for _ in range(AT_A_TIME)))


async def until_quiet(bench: Bench) -> None:
    """Return once the cluster's own operator is done with what has come. Raises TimeoutError where it is never."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            since = mark()
            await asyncio.sleep(REST_SECONDS)
            if not calls_since(bench, since):
                return


async def until_archived(bench: Bench) -> None:
    """Return once the operator has carried out all that the labels ask for."""
    await until_so_many(bench, "pipelineruns", f"fieldSelector={NOT_ARCHIVED}", 0)


async def until_so_many(bench: Bench, kind: str, selector: str, count: int) -> None:
    """Return once the API server has so many objects that match, of at most 99. Raises TimeoutError where it does not come to that."""
    for _ in range(int(TIMEOUT / POLL_SECONDS)):
        if len((await bench.call("GET", f"{bench.path(kind)}?limit=100&{selector}"))["items"]) == count:
            return
        await asyncio.sleep(POLL_SECONDS)
    raise TimeoutError(f"there are not {count} {kind} with {selector or 'any name'} after {TIMEOUT:.0f} s")


# -------------------------------------------------------------------------------------------------------- what is used
async def until_at_rest(pid: int) -> None:
    """Return once the process has done next to nothing for a while. Raises TimeoutError where it does not come to that."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            before = cpu(pid)
            await asyncio.sleep(REST_SECONDS)
            if cpu(pid) - before <= REST_SHARE * REST_SECONDS:
                return


def cpu(pid: int) -> float:
    """Seconds of CPU that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """MiB of memory that the process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def mark() -> int:
    """Where the audit log is now; 0 where there is none."""
    log = audit_log()
    return size(log) if log else 0


def calls_since(bench: Bench, since: int) -> Counter[str]:
    """The operators' calls in the namespace since then; none where there is no audit log."""
    log = audit_log()
    written, read = operator_calls(log, since, bench.namespace) if log else (Counter[str](), Counter[str]())
    return written + read


def writes_in(calls: Counter[str]) -> int:
    return sum(number for call, number in calls.items() if call.split()[0] in WRITES)


def say(what: str) -> None:
    """How far it is."""
    print(f"\r  {what}{' ' * 30}", end="", file=sys.stderr, flush=True)
