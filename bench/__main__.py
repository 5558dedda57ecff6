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

from bench import api_writes, apply_to_workflow, archived_runs, create_to_finished, run_metrics
from bench.cluster import Bench, open_bench

MEASUREMENTS: dict[str, Callable[[Bench, int | None], Awaitable[bool]]] = {
    "apply_to_workflow": apply_to_workflow.measure,
    "api_writes": api_writes.measure,
    "create_to_finished": create_to_finished.measure,
    "archived_runs": archived_runs.measure,
    "run_metrics": run_metrics.measure,
}


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
    good = True
    async with open_bench() as bench:
        print(f"cluster: {bench.version}, {bench.argo}", flush=True)
        for name in names or MEASUREMENTS:
            start = time.monotonic()
            print(f"\n{name}", flush=True)
            good &= await MEASUREMENTS[name](bench, count)
            print(f"  took {time.monotonic() - start:.0f} s", flush=True)
    return good


def main() -> int:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="MEASUREMENT", help=f"of {', '.join(MEASUREMENTS)}; default: all")
    parser.add_argument("--count", type=int, help="how many runs, or pairs of them; each measurement has its default")
    options = parser.parse_args()
    for name in options.names:
        if name not in MEASUREMENTS:
            parser.error(f"there is no measurement {name!r}; there are {', '.join(MEASUREMENTS)}")
    if options.count is not None and not 1 <= options.count <= 5000:
        parser.error("--count: expected 1 to 5000")
    return 0 if asyncio.run(run(options.names, options.count)) else 1


if __name__ == "__main__":
    sys.exit(main())
