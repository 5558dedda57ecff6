"""CPU time and memory of Argo's controller for Workflows without pods: the reference for the operator's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bench.cluster import Bench, follow_both, session_for
from bench.idle import wait_until_idle
from bench.progress import show_progress
from bench.stage import install_kinds, open_plane
from tests.e2e.argo import Argo, install_argo
from tests.e2e.manifests import instant, suspended, workflow
from tests.e2e.process_usage import read_process

AT_A_TIME = 50


@dataclass(frozen=True)
class ArgoCosts:
    """CPU time and memory of Argo's controller."""

    cpu: float
    """Seconds per Workflow that ends at once."""
    live: float
    """MiB that the live Workflows add."""


async def measure_argo(count: int) -> ArgoCosts:
    """Carry out this many Workflows, then keep as many running."""
    async with open_argo() as (bench, pid):
        before = read_process(pid).cpu
        await create_all(count, lambda number: carry_out(bench, f"ends-{number}"))
        seconds = (read_process(pid).cpu - before) / count
        await wait_until_idle(pid)
        empty = read_process(pid).resident
        await create_all(count, lambda number: bench.create("workflows", workflow(suspended(), f"live-{number}")))
        await wait_until_idle(pid)
        return ArgoCosts(seconds, read_process(pid).resident - empty)


async def carry_out(bench: Bench, name: str) -> None:
    """Create a Workflow and wait for its end."""
    end = bench.expect("workflows", name, "finished")
    await bench.create("workflows", workflow(instant(), name))
    await end


async def create_all(count: int, create: Callable[[int], Awaitable[object]]) -> None:
    """Call `create` for each number below `count`, AT_A_TIME at a time."""
    for first in range(0, count, AT_A_TIME):
        batch = range(first, min(first + AT_A_TIME, count))
        await asyncio.gather(*(create(number) for number in batch))
        show_progress(f"Argo alone: {batch.stop} of {count}")


@asynccontextmanager
async def open_argo() -> AsyncGenerator[tuple[Bench, int]]:
    """Runs Argo's controller on a new control plane; gives its pid. Raises RuntimeError as `open_plane`."""
    async with AsyncExitStack() as stack:
        plane, folder = stack.enter_context(open_plane())
        install_kinds(plane)
        install_argo(plane)
        session = await stack.enter_async_context(session_for(plane.kubeconfig))
        bench = Bench(session, "default")
        await stack.enter_async_context(follow_both(bench))
        argo = Argo(plane.kubeconfig, folder / "argo.log")
        argo.start()
        stack.callback(argo.kill)
        await asyncio.wait_for(carry_out(bench, "first"), 60)
        yield bench, argo.pid
