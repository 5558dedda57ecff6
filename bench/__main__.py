"""Runs the measurements, or those that are named, one after the other; exit code 1 if a goal is missed."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shlex
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import (
    api_writes,
    apply_to_workflow,
    archived_runs,
    create_to_finished,
    etcd_bytes,
    large_workflow,
    many_runs,
    mirror_lag,
    run_metrics,
)
from bench.cluster import Bench, open_bench

MEASUREMENTS: dict[str, Callable[[Bench, int | None], Awaitable[bool]]] = {
    "apply_to_workflow": apply_to_workflow.measure,
    "api_writes": api_writes.measure,
    "create_to_finished": create_to_finished.measure,
    "archived_runs": archived_runs.measure,
    "run_metrics": run_metrics.measure,
}


ON_A_STAGE: dict[str, Callable[[int | None], Awaitable[bool]]] = {
    "etcd_bytes": etcd_bytes.measure,
    "large_workflow": large_workflow.measure,
    "many_runs": many_runs.measure,
    "mirror_lag": mirror_lag.measure,
}
"""Those that bring an API server and an operator of their own (bench/stage.py), and need no cluster."""


def machine() -> str:
    """The machine, in a line that belongs to every figure."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} x {model}, {memory:.0f} GiB, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}"


async def run(names: list[str], count: int | None) -> bool:
    """Measure; true if every goal is met."""
    print(f"machine: {machine()}")
    print(f"command: python -m bench {shlex.join(sys.argv[1:])}".rstrip())
    wanted = names or [*MEASUREMENTS, *ON_A_STAGE]
    good = True
    if any(name in MEASUREMENTS for name in wanted):
        async with open_bench() as bench:
            print(f"cluster: {bench.version}, {bench.argo}", flush=True)
            for name in (one for one in wanted if one in MEASUREMENTS):
                good &= await timed(name, MEASUREMENTS[name](bench, count))
    for name in (one for one in wanted if one in ON_A_STAGE):
        good &= await timed(name, ON_A_STAGE[name](count))
    return good


async def timed(name: str, measurement: Awaitable[bool]) -> bool:
    """Measure, and say how long it took."""
    start = time.monotonic()
    print(f"\n{name}", flush=True)
    good = await measurement
    print(f"  took {time.monotonic() - start:.0f} s", flush=True)
    return good


def main() -> int:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="MEASUREMENT", help=f"of {', '.join([*MEASUREMENTS, *ON_A_STAGE])}; default: all"
    )
    parser.add_argument("--count", type=int, help="how many runs, or pairs of them; each measurement has its default")
    options = parser.parse_args()
    for name in options.names:
        if name not in MEASUREMENTS | ON_A_STAGE:
            parser.error(f"there is no measurement {name!r}; there are {', '.join([*MEASUREMENTS, *ON_A_STAGE])}")
    if options.count is not None and not 1 <= options.count <= 20000:
        parser.error("--count: expected 1 to 20000")
    return 0 if asyncio.run(run(options.names, options.count)) else 1


if __name__ == "__main__":
    sys.exit(main())
