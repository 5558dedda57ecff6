"""What Argo's own controller takes for Workflows without pods: the measure of what an operator may take beside it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bench.archived_runs import cpu, resident, until_at_rest
from bench.cluster import Bench, follow_both, session_for
from bench.stage import install_kinds, open_plane
from tests.e2e.argo import Argo, install_argo
from tests.e2e.manifests import instant, suspended, workflow

AT_A_TIME = 50


@dataclass(frozen=True)
class Costs:
    """Of Argo's controller."""

    cpu: float
    """Seconds for a Workflow that ends at once."""
    watched: float
    """MiB that all the Workflows which go on have added."""


async def argo_alone(count: int) -> Costs:
    """Have so many Workflows end, and so many others go on."""
    async with open_argo() as (bench, pid):
        before = cpu(pid)
        await for_each(count, lambda number: ended(bench, f"ends-{number}"))
        seconds = (cpu(pid) - before) / count
        await until_at_rest(pid)
        empty = resident(pid)
        await for_each(count, lambda number: bench.create("workflows", workflow(suspended(), f"goes-on-{number}")))
        await until_at_rest(pid)
        return Costs(seconds, resident(pid) - empty)


async def ended(bench: Bench, name: str) -> None:
    """A Workflow that has come to its end."""
    end = bench.expect("workflows", name, "finished")
    await bench.create("workflows", workflow(instant(), name))
    await end


async def for_each(count: int, do: Callable[[int], Awaitable[object]]) -> None:
    """Do it for each number, some at a time."""
    for first in range(0, count, AT_A_TIME):
        await asyncio.gather(*(do(number) for number in range(first, min(first + AT_A_TIME, count))))
        print(f"\r  Argo alone: {first + AT_A_TIME} of {count}", end="", file=sys.stderr, flush=True)


@asynccontextmanager
async def open_argo() -> AsyncGenerator[tuple[Bench, int]]:
    """Within it, Argo's controller on a control plane of its own; gives its pid. Raises RuntimeError as `open_plane`."""
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
        await asyncio.wait_for(ended(bench, "first"), 60)
        yield bench, argo.pid
