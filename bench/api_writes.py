"""Writes of the operator to the API server for one run of two steps, from the API server's audit log."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from bench.cluster import TIMEOUT, Bench
from bench.progress import show_progress
from bench.table import Row
from bench.workloads import TWO_STEPS
from tests.e2e.audit import WRITES, audit_log, calls, size, what
from tests.e2e.manifests import pipeline_run

COUNT = 10
GOAL = 4.0
AGENTS = ("runwright/", "kopf/")


async def measure(bench: Bench, count: int | None) -> list[Row]:
    """Writes per run; no rows without an audit log. Raises RuntimeError if the log belongs to another cluster."""
    log = audit_log()
    if log is None:
        print("  not measured: this machine has no audit log of the cluster. Name it with AUDIT_LOG")
        return []
    count, since = count or COUNT, size(log)
    for number in range(count):
        name = f"writes-{number}"
        end = bench.expect("pipelineruns", name, "finished")
        await bench.create("pipelineruns", pipeline_run({"spec": TWO_STEPS}, name))
        await asyncio.wait_for(end, TIMEOUT)
        show_progress(f"{number + 1} of {count} runs")
    written, read = operator_calls(log, since, bench.namespace)
    writes = written.total() / count
    if not written:
        raise RuntimeError(f"{log} has no write by the operator. Does it belong to this cluster?")
    print(
        f"\r  {writes:.2f} writes a run of two steps, {count} runs: "
        + ", ".join(f"{number / count:.2f} {call}" for call, number in written.most_common())
        + "; reads: "
        + (", ".join(f"{number / count:.2f} {call}" for call, number in read.most_common()) or "none")
    )
    return [Row("API writes of a run of two steps", writes, None, "", at_most=GOAL)]


def operator_calls(log: Path, since: int, namespace: str, named: str = "") -> tuple[Counter[str], Counter[str]]:
    """The operator's writes and reads in the namespace after byte `since` of the log, of objects whose name starts with `named`."""
    written: Counter[str] = Counter()
    read: Counter[str] = Counter()
    for call in calls(log, since, namespace):
        target = call.get("objectRef", {})
        if target.get("namespace") != namespace or not str(target.get("name", "")).startswith(named):
            continue
        if str(call.get("userAgent", "")).startswith(AGENTS):
            (written if call["verb"] in WRITES else read)[what(call)] += 1
    return written, read
