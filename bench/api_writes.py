"""How often the operator writes to the API server for one run of two steps, by the API server's own audit log."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path

from bench.cluster import TIMEOUT, Bench
from bench.table import Row
from bench.workloads import TWO_STEPS
from tests.e2e.audit import WRITES, audit_log, calls, size, what
from tests.e2e.manifests import pipeline_run

COUNT = 10
GOAL = 4.0
AGENTS = ("runwright/", "kopf/")


async def measure(bench: Bench, count: int | None) -> list[Row]:
    """The writes a run; none where they cannot be counted. Raises RuntimeError where the log is another cluster's."""
    log = audit_log()
    if log is None:
        print("  not measured: this machine has no audit log of the cluster: AUDIT_LOG names it")
        return []
    count, since = count or COUNT, size(log)
    for number in range(count):
        name = f"writes-{number}"
        end = bench.expect("pipelineruns", name, "finished")
        await bench.create("pipelineruns", pipeline_run({"spec": TWO_STEPS}, name))
        await asyncio.wait_for(end, TIMEOUT)
        print(f"\r  {number + 1} of {count} runs", end="", file=sys.stderr, flush=True)
    written, read = operator_calls(log, since, bench.namespace)
    writes = written.total() / count
    if not written:
        raise RuntimeError(f"{log} tells of no write by the operator. Is it this cluster's?")
    print(
        f"\r  {writes:.2f} writes a run of two steps, {count} runs: "
        + ", ".join(f"{number / count:.2f} {what}" for what, number in written.most_common())
        + "; reads: "
        + (", ".join(f"{number / count:.2f} {what}" for what, number in read.most_common()) or "none")
    )
    return [Row("API writes of a run of two steps", writes, None, "", at_most=GOAL)]


def operator_calls(log: Path, since: int, namespace: str, named: str = "") -> tuple[Counter[str], Counter[str]]:
    """The operator's writes and reads in the namespace, from that byte of the log on; of names that begin so only."""
    written: Counter[str] = Counter()
    read: Counter[str] = Counter()
    for call in calls(log, since, namespace):
        target = call.get("objectRef", {})
        if target.get("namespace") != namespace or not str(target.get("name", "")).startswith(named):
            continue
        if str(call.get("userAgent", "")).startswith(AGENTS):
            (written if call["verb"] in WRITES else read)[what(call)] += 1
    return written, read
