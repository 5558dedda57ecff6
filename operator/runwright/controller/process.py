"""The operator's process: start, leader election and end."""

from __future__ import annotations

import asyncio
import logging
import socket
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from runwright import __version__
from runwright.controller.election import LEASE_SECONDS, Election
from runwright.controller.measures import Measures
from runwright.controller.term import Term, TermOptions
from runwright.controller.watches import missing_kinds
from runwright.core.metrics.series import parse_labels
from runwright.kube.clock import SystemClock
from runwright.kube.errors import ApiError
from runwright.kube.fence import Fence
from runwright.kube.http_client import HttpClient
from runwright.kube.login import log_in
from runwright.kube.objects import Key
from runwright.kube.probes import health_endpoint
from runwright.kube.signals import pass_on, stop_on_signals
from runwright.kube.supervise import Supervisor

logger = logging.getLogger(__name__)


START_SECONDS = 10.0
"""Seconds to wait for the API server at the start."""

START_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class OperatorOptions:
    """Command-line options of the operator."""

    term: TermOptions = field(default_factory=TermOptions)
    kubeconfig: str | None = None
    context: str | None = None
    lease: Key | None = None
    """The Lease for leader election; None for a single operator."""
    lease_seconds: float = LEASE_SECONDS
    probe_address: str = ""
    """HOST:PORT of the probes and the metrics; empty for none."""


async def run_operator(options: OperatorOptions) -> None:
    """Run until SIGTERM or SIGINT.

    Raises ConfigError without a usable kubeconfig or service account, ApiError if the API server does not answer at the
    start, ValueError for unknown labels of run metrics, and ValueError or OSError for an unusable probe address. Later,
    the operator waits for an API server that does not answer.
    """
    parse_labels(options.term.run_metrics_labels)
    login = await log_in(options.kubeconfig, options.context)
    fence = Fence(always=options.lease is None)
    measures = Measures(options.term.shard.name, leads=lambda: fence.open)
    identity = f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
    agent = f"runwright/{__version__} ({identity})"
    async with HttpClient(login, user_agent=agent, observe=measures.request, fence=fence) as client:
        await first_answer(client, login.server)
        stop = asyncio.Event()
        stop_on_signals(stop)
        supervisor = Supervisor(stop)
        measures.registry.register(supervisor)
        shard = options.term.shard
        where = ", ".join(options.term.namespaces) or "all namespaces"
        which = f" of shard {shard.name} ({shard.selector})" if shard.name else ""
        operator = Operator(
            lambda: Term(client, options.term, measures, login, agent, supervisor),
            supervisor,
            f"runwright {__version__} looks after PipelineRuns{which} in {where} of {login.server}",
        )
        probes = health_endpoint(
            options.probe_address, supervisor, lambda: operator.ready, operator.report, measures.registry
        )
        async with probes:
            if options.lease is None:
                await operator.act(stop, stop)
            else:
                election = Election(
                    client, options.lease, identity, SystemClock(), fence, supervisor, options.lease_seconds
                )
                await operator.compete(election, stop)
        supervisor.check()
        logger.info("stopped; the next start continues unfinished work")


class Operator:
    """A process that acts as the leader, or waits to become it."""

    def __init__(self, new_term: Callable[[], Term], supervisor: Supervisor, title: str) -> None:
        self._new_term = new_term
        self._supervisor = supervisor
        self._title = title
        self._term: Term | None = None
        self._standby = False

    @property
    def ready(self) -> bool:
        """Whether the watches run, or this process waits for the Lease."""
        return self._term.watching if self._term else self._standby

    def report(self) -> dict[str, object]:
        """The body of the probes' replies."""
        term = self._term
        return {
            "version": __version__,
            "leader": term is not None,
            "watching": term.watching if term else False,
            "waiting": term.waiting if term else 0,
        }

    async def act(self, end: asyncio.Event, signalled: asyncio.Event) -> None:
        """Run one term until `end` is set; a signal sets `signalled`."""
        logger.info("%s", self._title)
        self._term = self._new_term()
        try:
            await self._term.run(end, signalled)
        finally:
            self._term.close()
            self._term = None

    async def compete(self, election: Election, stop: asyncio.Event) -> None:
        """Act while the Lease is held, and wait for it otherwise, until `stop` is set."""
        while not stop.is_set():
            self._standby = True
            if not await unless(stop, election.win()):
                break
            lost, end = asyncio.Event(), asyncio.Event()
            try:
                async with self._supervisor.group() as loops:
                    election.hold(loops, lost)
                    for event in (lost, stop):
                        loops.start("shutdown", partial(pass_on, event, end))
                    await self.act(end, stop)
            finally:
                if not lost.is_set():
                    await election.release()


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work; returns False, and cancels it, if `stop` is set before."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
            return True
        return False
    finally:
        for task in (working, stopping):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await working


async def first_answer(client: HttpClient, host: str) -> None:
    """Return once the API server answers.

    Raises ApiError after START_SECONDS without an answer, and at once for 401 Unauthorized: a wrong kubeconfig is more
    likely than an outage.
    """
    loop = asyncio.get_running_loop()
    began, warned = loop.time(), False
    while True:
        try:
            await missing_kinds(client)
            return
        except ApiError as error:
            if error.code == 401 or loop.time() - began > START_SECONDS:
                raise
            if not warned:
                logger.warning("waiting for the API server %s: %s", host, error)
                warned = True
        await asyncio.sleep(START_POLL_SECONDS)
