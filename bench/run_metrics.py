"""What metrics in the object store cost a run: 20 of them beside an artifact of 1 MB, against the same run that leaves none.

Both write the same two files, and Argo packs and stores both; but in one of the two runs the small file is called
mlpipeline-metrics, which the operator reads. In pairs, several at a time, in turn the one and the other first.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys

from bench.api_writes import audit_log, operator_calls, size
from bench.cluster import TIMEOUT, Bench
from bench.table import Row
from tests.e2e.cluster import Object
from tests.e2e.manifests import pipeline_run, shell

COUNT = 200
METRICS = 20
ARTIFACT_BYTES = 1_000_000
AT_A_TIME = 6
"""Pairs under way: more would measure how two cores are shared by pods."""

SAMPLE_SECONDS = 1.0
GOAL_RATIO = 1.05
GOAL_WRITES = 1.0
"""Writes that the metrics may add to a run."""

OPERATOR = "/api/v1/namespaces/runwright-system/services/runwright-operator:metrics/proxy/metrics"
SIDES = {"with": "mlpipeline-metrics", "without": "numbers"}


async def measure(bench: Bench, count: int | None) -> list[Row]:
    """Latency, writes and memory, with the metrics and without. Raises RuntimeError where a run lacks its metrics."""
    log, count = audit_log(), count or COUNT
    since = size(log) if log else 0
    before, peaks = await memory(bench), [0.0]
    sampler = asyncio.create_task(sample(bench, peaks))
    took: dict[str, list[float]] = {side: [] for side in SIDES}
    numbers = iter(range(count + AT_A_TIME))

    async def worker() -> None:
        for number in numbers:
            for side in list(SIDES)[:: 1 if number % 2 else -1]:
                seconds = await finish(bench, side, number)
                if number >= AT_A_TIME:  # the first ones warm up
                    took[side].append(seconds)
            print(f"\r  {number + 1} of {count + AT_A_TIME} pairs", end="", file=sys.stderr, flush=True)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME):
            group.create_task(worker())
    sampler.cancel()
    after = await memory(bench)
    medians = {side: statistics.median(seconds) for side, seconds in took.items()}
    ratio = medians["with"] / medians["without"]
    print(
        f"\r  create to finished: ratio {ratio:.3f}: median "
        f"{medians['with']:.3f} s with, {medians['without']:.3f} s without, p90 {p90(took['with']):.3f} s and "
        f"{p90(took['without']):.3f} s; {count} pairs, {AT_A_TIME} at a time"
    )
    print(
        f"  operator memory: {before:.1f} MiB before, {max(peaks):.1f} MiB at most, {after:.1f} MiB after "
        f"{2 * (count + AT_A_TIME)} runs, of which half hold {METRICS} metrics"
    )
    await all_metrics_are_there(bench, count)
    against = "the same run without metrics"
    rows = [
        Row(
            *(f"create to finished with {METRICS} metrics", medians["with"], medians["without"], "s", against),
            at_most=GOAL_RATIO,
        ),
        Row("operator's memory at most, meanwhile", max(peaks), before, "MiB", "before"),
    ]
    if log is None:
        print("  writes not measured: this machine has no audit log of the cluster: AUDIT_LOG names it")
        return rows
    calls = {side: operator_calls(log, since, bench.namespace, f"{side}-") for side in SIDES}
    writes, reads = ({side: one[kind].total() / (count + AT_A_TIME) for side, one in calls.items()} for kind in (0, 1))
    told = ", ".join(f"{number / (count + AT_A_TIME):.2f} {what}" for what, number in calls["with"][0].most_common())
    print(
        f"  API writes a run: {writes['with']:.2f} with, {writes['without']:.2f} without: {told}; "
        f"reads: {reads['with']:.2f} and {reads['without']:.2f}"
    )
    return [
        *rows,
        Row("API writes that metrics add", writes["with"] - writes["without"], None, "", at_most=GOAL_WRITES),
    ]


def workload(side: str) -> Object:
    """One step that leaves both files."""
    metrics = [{"name": f"metric-{number}", "numberValue": number / 7, "format": "RAW"} for number in range(METRICS)]
    artifacts = [
        {"name": SIDES[side], "path": "/tmp/metrics.json"},
        {"name": "model", "path": "/tmp/model"},
    ]
    script = (
        f"printf '%s' '{json.dumps({'metrics': metrics})}' > /tmp/metrics.json && "
        f"head -c {ARTIFACT_BYTES} /dev/urandom > /tmp/model"
    )
    return {"entrypoint": "main", "templates": [shell(script, outputs={"artifacts": artifacts})]}


async def finish(bench: Bench, side: str, number: int) -> float:
    """Seconds from the create call to the event that says finished."""
    name = f"{side}-{number}"
    end = bench.expect("pipelineruns", name, "finished")
    start = await bench.create("pipelineruns", pipeline_run({"spec": workload(side)}, name))
    return await asyncio.wait_for(end, TIMEOUT) - start


async def memory(bench: Bench) -> float:
    """MiB that the deployed operator holds."""
    found = re.search(r"^process_resident_memory_bytes (\S+)$", await bench.text("GET", OPERATOR), re.MULTILINE)
    assert found, "the operator tells no memory"
    return float(found[1]) / 2**20


async def sample(bench: Bench, peaks: list[float]) -> None:
    """Keep the most memory that was seen."""
    while True:
        peaks[0] = max(peaks[0], await memory(bench))
        await asyncio.sleep(SAMPLE_SECONDS)


async def all_metrics_are_there(bench: Bench, count: int) -> None:
    """Raises RuntimeError unless each run that left metrics succeeded and holds them all: else nothing was measured."""
    listed = await bench.call("GET", bench.path("pipelineruns"))
    held = [
        len(run["status"].get("metrics", ()))
        for run in listed["items"]
        if run["metadata"]["name"].startswith("with-") and run["status"]["phase"] == "Succeeded"
    ]
    if held != [METRICS] * (count + AT_A_TIME):
        raise RuntimeError(f"of {count + AT_A_TIME} runs, {held.count(METRICS)} succeeded with all their metrics")


def p90(values: list[float]) -> float:
    """What nine of ten took at most."""
    return statistics.quantiles(values, n=10)[-1] if len(values) > 1 else values[0]
