"""Runs all measurements, or the named ones, one after the other. The exit code is 1 if a goal is missed."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shlex
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import (
    api_writes,
    apply_to_workflow,
    archive_scale,
    archived_runs,
    create_to_finished,
    etcd_bytes,
    large_workflow,
    many_runs,
    mirror_lag,
    peer_operator,
    run_metrics,
    table,
    throughput,
)
from bench.cluster import Bench, open_bench
from bench.table import Row

ON_THE_CLUSTER: dict[str, Callable[[Bench, int | None], Awaitable[list[Row]]]] = {
    "create_to_finished": create_to_finished.measure,
    "throughput": throughput.measure,
    "apply_to_workflow": apply_to_workflow.measure,
    "api_writes": api_writes.measure,
    "archived_runs": archived_runs.measure,
    "run_metrics": run_metrics.measure,
}

ON_A_STAGE: dict[str, Callable[[int | None], Awaitable[list[Row]]]] = {
    "many_runs": many_runs.measure,
    "mirror_lag": mirror_lag.measure,
    "etcd_bytes": etcd_bytes.measure,
    "archive_scale": archive_scale.measure,
    "large_workflow": large_workflow.measure,
    "peer_operator": peer_operator.measure,
}
"""Measurements that start their own API server and operator (bench/stage.py) and need no cluster."""

NAMES = (*ON_THE_CLUSTER, *ON_A_STAGE)


def machine() -> str:
    """Processor, memory, kernel and load of the machine, in one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} x {model}, {memory:.0f} GiB, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}"


async def run(names: list[str], count: int | None, keeping: bool) -> tuple[dict[str, list[Row]], dict[str, Exception]]:
    """Run the measurements; gives the rows of each, and the errors of those that failed. The others run in any case.

    With `keeping`, the rows of each complete measurement are written as data. Raises RuntimeError as `open_bench`.
    """
    here = machine()
    print(f"machine: {here}")
    print(f"command: python -m bench {shlex.join(sys.argv[1:])}".rstrip())
    rows: dict[str, list[Row]] = {}
    failed: dict[str, Exception] = {}
    # This process keeps the code that it has loaded; each operator that it starts loads the code again.
    loaded = table.commit()

    async def timed(name: str, measurement: Awaitable[list[Row]]) -> None:
        start = time.monotonic()
        print(f"\n{name}", flush=True)
        try:
            rows[name] = await measurement
        except Exception as error:
            traceback.print_exc()
            failed[name] = error
            return
        if keeping:
            table.keep(name, rows[name], here, table.span(loaded, table.commit()), count)
        print(f"  took {time.monotonic() - start:.0f} s", flush=True)

    if wanted := [name for name in names if name in ON_THE_CLUSTER]:
        async with open_bench() as bench:
            print(f"cluster: {bench.version}, {bench.argo}", flush=True)
            for name in wanted:
                await timed(name, ON_THE_CLUSTER[name](bench, count))
    for name in (one for one in names if one in ON_A_STAGE):
        await timed(name, ON_A_STAGE[name](count))
    return rows, failed


def main() -> int:
    """Read the command line and run the measurements."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="MEASUREMENT", help=f"one of {', '.join(NAMES)}; default: all")
    parser.add_argument(
        "--count", type=int, help="number of runs or pairs of runs (default: depends on the measurement)"
    )
    parser.add_argument("--keep", action="store_true", help="write the results to bench/results, for docs and plots")
    options = parser.parse_args()
    for name in options.names:
        if name not in NAMES:
            parser.error(f"unknown measurement {name!r}; the measurements are {', '.join(NAMES)}")
    if options.count is not None and not 1 <= options.count <= 200_000:
        parser.error(f"--count: expected 1 to 200000, got {options.count}")
    rows, failed = asyncio.run(run(options.names or list(NAMES), options.count, options.keep))
    print(f"\n{table.table(rows)}")
    for name, error in failed.items():
        print(f"not measured: {name}: {type(error).__name__}: {error}")
    return 0 if not failed and all(row.met for one in rows.values() for row in one) else 1


if __name__ == "__main__":
    sys.exit(main())
