"""Cost of run metrics: a run with 20 metrics and an artifact of 1 MB, compared with the same run without metrics.

Both runs write the same two files, and Argo stores both. In one of them the small file is the artifact mlpipeline-metrics, which the
operator reads. They run in pairs, several at a time, and take turns in being first.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics

from bench.api_writes import audit_log, operator_calls, size
from bench.cluster import Bench
from bench.create_to_finished import finish
from bench.percentiles import percentile
from bench.progress import show_progress
from bench.table import Row
from tests.e2e.cluster import Object
from tests.e2e.manifests import pipeline_run, shell

COUNT = 200
METRICS = 20
ARTIFACT_BYTES = 1_000_000
AT_A_TIME = 6
"""Pairs at a time. More would measure how pods share two cores."""

SAMPLE_SECONDS = 1.0
GOAL_RATIO = 1.05
GOAL_WRITES = 1.0
"""Largest number of writes that metrics add to a run."""

OPERATOR = "/api/v1/namespaces/runwright-system/services/runwright-operator:metrics/proxy/metrics"
SIDES = {"with": "mlpipeline-metrics", "without": "numbers"}


async def measure(bench: Bench, count: int | None) -> list[Row]:
    """Latency, writes and memory, with and without metrics. Raises RuntimeError if a run lacks its metrics."""
    log, count = audit_log(), count or COUNT
    since = size(log) if log else 0
    before, peaks = await memory(bench), [0.0]
    sampler = asyncio.create_task(sample(bench, peaks))
    took: dict[str, list[float]] = {side: [] for side in SIDES}
    numbers = iter(range(count + AT_A_TIME))

    async def worker() -> None:
        for number in numbers:
            for side in list(SIDES)[:: 1 if number % 2 else -1]:
                seconds = await finish(bench, "pipelineruns", run_of(side, number))
                if number >= AT_A_TIME:  # the first pairs are the warm-up
                    took[side].append(seconds)
            show_progress(f"{number + 1} of {count + AT_A_TIME} pairs")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME):
            group.create_task(worker())
    sampler.cancel()
    after = await memory(bench)
    medians = {side: statistics.median(seconds) for side, seconds in took.items()}
    ratio = medians["with"] / medians["without"]
    print(
        f"\r  create to finished: ratio {ratio:.3f}: median "
        f"{medians['with']:.3f} s with, {medians['without']:.3f} s without, p90 {percentile(took['with'], 90):.3f} s and "
        f"{percentile(took['without'], 90):.3f} s; {count} pairs, {AT_A_TIME} at a time"
    )
    print(
        f"  operator memory: {before:.1f} MiB before, {max(peaks):.1f} MiB at most, {after:.1f} MiB after "
        f"{2 * (count + AT_A_TIME)} runs; half of them have {METRICS} metrics"
    )
    await check_metrics(bench, count)
    against = "the same run without metrics"
    rows = [
        Row(
            *(f"create to finished with {METRICS} metrics", medians["with"], medians["without"], "s", against),
            at_most=GOAL_RATIO,
        ),
        Row("operator's memory at most, during the runs", max(peaks), before, "MiB", "before"),
    ]
    if log is None:
        print("  writes: not measured: this machine has no audit log of the cluster. Name it with AUDIT_LOG")
        return rows
    calls = {side: operator_calls(log, since, bench.namespace, f"{side}-") for side in SIDES}
    writes, reads = ({side: one[kind].total() / (count + AT_A_TIME) for side, one in calls.items()} for kind in (0, 1))
    each = ", ".join(f"{number / (count + AT_A_TIME):.2f} {call}" for call, number in calls["with"][0].most_common())
    print(
        f"  API writes a run: {writes['with']:.2f} with, {writes['without']:.2f} without: {each}; "
        f"reads: {reads['with']:.2f} and {reads['without']:.2f}"
    )
    return [
        *rows,
        Row("API writes that metrics add", writes["with"] - writes["without"], None, "", at_most=GOAL_WRITES),
    ]


def workload(side: str) -> Object:
    """One step that writes both files."""
    metrics = [{"name": f"metric-{number}", "numberValue": number / 7, "format": "RAW"} for number in range(METRICS)]
    artifacts = [
        {"name": SIDES[side], "path": "/tmp/metrics.json"},  # noqa: S108 - in a pod
        {"name": "model", "path": "/tmp/model"},  # noqa: S108 - in a pod
    ]
    script = (
        f"printf '%s' '{json.dumps({'metrics': metrics})}' > /tmp/metrics.json && "
        f"head -c {ARTIFACT_BYTES} /dev/urandom > /tmp/model"
    )
    return {"entrypoint": "main", "templates": [shell(script, outputs={"artifacts": artifacts})]}


def run_of(side: str, number: int) -> Object:
    """The PipelineRun of this pair, with or without metrics."""
    return pipeline_run({"spec": workload(side)}, f"{side}-{number}")


async def memory(bench: Bench) -> float:
    """Resident memory of the deployed operator in MiB."""
    found = re.search(r"^process_resident_memory_bytes (\S+)$", await bench.text("GET", OPERATOR), re.MULTILINE)
    assert found, "the operator's metrics lack process_resident_memory_bytes"
    return float(found[1]) / 2**20


async def sample(bench: Bench, peaks: list[float]) -> None:
    """Record the largest memory so far in `peaks`."""
    while True:
        peaks[0] = max(peaks[0], await memory(bench))
        await asyncio.sleep(SAMPLE_SECONDS)


async def check_metrics(bench: Bench, count: int) -> None:
    """Raise RuntimeError unless each run with metrics succeeded and has all of them in its status."""
    listed = await bench.call("GET", bench.path("pipelineruns"))
    held = [
        len(run["status"].get("metrics", ()))
        for run in listed["items"]
        if run["metadata"]["name"].startswith("with-") and run["status"]["phase"] == "Succeeded"
    ]
    if held != [METRICS] * (count + AT_A_TIME):
        raise RuntimeError(f"{held.count(METRICS)} of {count + AT_A_TIME} runs succeeded with all their metrics")
