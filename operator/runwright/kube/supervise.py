"""Supervises the loops of a process: each survives any error or ends the process, and the probes report the ones that are down.

A loop is a step that is called again and again. A step returns the pause before the next call. An error is logged once,
counted, and followed by a back-off. The task of a loop is never replaced: Kopf (1.45.2) cancels tasks that began after its own.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from runwright.kube.errors import ApiError, error_line

logger = logging.getLogger(__name__)

Step = Callable[[], Awaitable[float | None]]
"""One pass of a loop: returns the pause in seconds before the next pass, `math.inf` for none, or None if the loop has ended."""

DOWN_AFTER = 3
"""Failures in a row after which a loop counts as down."""

QUIET_SECONDS = 30.0
"""A pass without a time limit, such as a watch, that runs for so long clears the failures before it."""

STUCK_SECONDS = 60.0
"""How long a pass may go on after its time limit, at which it is cancelled. Then liveness fails: only a restart can help."""

CLOSE_SECONDS = 10.0
"""How long to wait for cancelled loops to end."""

MAX_TEXT = 500
"""Characters of an error in the log and in a reply of the probes."""


class TransientError(Exception):
    """An error that the next pass may not have. Logged without a traceback, and never a reason to end the process."""


class LoopError(Exception):
    """A loop failed for good; its process ends."""


TRANSIENT = (TransientError, ApiError, TimeoutError, OSError, asyncio.CancelledError)


FATAL = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""Exceptions that end the event loop, or a coroutine from the outside."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses after failures, in seconds: `first`, then doubled with each failure in a row up to `longest`; with jitter."""

    first: float = 1.0
    longest: float = 30.0

    def seconds(self, failures: int) -> float:
        """The pause after so many failures in a row."""
        return min(self.longest, self.first * 2.0 ** min(max(failures - 1, 0), 32)) * random.uniform(0.8, 1.0)


@dataclass(eq=False, slots=True)
class Loop:
    """The state of one loop."""

    name: str
    backoff: Backoff
    limit: float | None = None
    """How many seconds a pass may take; None for a pass without an end, such as a watch."""
    ends_after: int | None = None
    """The process ends after so many unexpected errors in a row; None for never."""
    essential: bool = True
    """Whether the process is not ready while this loop is down."""
    failures: int = 0
    """Failures in a row."""
    unexpected: int = 0
    """Errors in a row that are not transient."""
    error: str = ""
    """The last error; empty after a pass without one."""
    began: float | None = None
    """When the present pass began; None between passes."""
    last_began: float = math.inf
    """When the last pass that has ended began."""

    def problem(self, now: float) -> str:
        """Why the loop is down; empty while it works."""
        if self.overdue(now) > 0:
            return f"no end after {self.limit:g} s" if self.limit is not None else ""
        settled = self.limit is None and self.began is not None and now - self.began >= QUIET_SECONDS
        return self.error if self.failures >= DOWN_AFTER and not settled else ""

    def overdue(self, now: float) -> float:
        """Seconds since the time limit of the present pass; negative before it."""
        return now - self.began - self.limit if self.began is not None and self.limit is not None else -math.inf


class Supervisor(Collector):
    """All loops of a process, for its probes and metrics."""

    def __init__(self, end: asyncio.Event | None = None) -> None:
        """`end` is set when a loop has failed for good: the process must end then, and call `check`."""
        self._end = end or asyncio.Event()
        self._loops: list[Loop] = []
        self._restarts: Counter[str] = Counter()
        self._error: LoopError | None = None

    # ---------------------------------------------------------------------------------------------------------- loops
    def group(self) -> LoopGroup:
        """Make a group of background loops: `async with supervisor.group() as loops`."""
        return LoopGroup(self)

    async def until_done(
        self, name: str, step: Step, *, stop: asyncio.Event | None = None, backoff: Backoff | None = None
    ) -> bool:
        """Repeat the step in the current task until it returns None; returns False if `stop` was set before.

        `stop` ends a pause, but no pass.
        """
        loop, pause = Loop(name, backoff or Backoff()), 0.0
        with self.shown(loop):
            while stop is None or not stop.is_set():
                try:
                    given = await self.run_pass(loop, step)
                except FATAL:
                    raise
                except BaseException as error:
                    if is_cancelled(error):
                        raise
                    pause = self.failed(loop, error)
                else:
                    if given is None:
                        return True
                    pause = given
                await pause_for(pause, stop)
        return False

    async def run_pass(self, loop: Loop, step: Step) -> float | None:
        """Call the step once, within the time limit of the loop. Raises what it raises."""
        loop.began = seconds_now()
        try:
            async with asyncio.timeout(loop.limit):
                pause = await step()
        finally:
            loop.last_began, loop.began = loop.began, None
        if loop.error:
            logger.info("loop %s works again", loop.name)
        loop.failures, loop.unexpected, loop.error = 0, 0, ""
        return pause

    def failed(self, loop: Loop, error: BaseException) -> float:
        """Log and count a failed pass; returns the back-off in seconds."""
        lasted = seconds_now() - loop.last_began
        if loop.limit is None and lasted >= QUIET_SECONDS:
            loop.failures, loop.unexpected, loop.error = 0, 0, ""
        transient = isinstance(error, TRANSIENT)
        loop.failures += 1
        loop.unexpected = 0 if transient else loop.unexpected + 1
        self._restarts[loop.name] += 1
        pause = loop.backoff.seconds(loop.failures)
        late = isinstance(error, TimeoutError) and loop.limit is not None and lasted >= loop.limit
        text = f"no end after {loop.limit:g} s" if late else describe_failure(error)
        if text != loop.error:
            level, trace = (logging.WARNING, None) if transient else (logging.ERROR, error)
            logger.log(level, "loop %s failed: %s; restarting it in %.1f s", loop.name, text, pause, exc_info=trace)
            loop.error = text
        if loop.ends_after is not None and loop.unexpected >= loop.ends_after and self._error is None:
            self._error = LoopError(f"loop {loop.name} failed {loop.unexpected} times in a row, last with {text}")
            self._end.set()
        return pause

    @contextmanager
    def shown(self, loop: Loop) -> Generator[None]:
        """Show the loop to the probes and in the metrics."""
        self._loops.append(loop)
        try:
            yield
        finally:
            self._loops.remove(loop)

    # ------------------------------------------------------------------------------------------------- probes, metrics
    @property
    def down(self) -> dict[str, str]:
        """The loops that do no work now, by name, each with its last error."""
        now = seconds_now()
        return {loop.name: problem for loop in self._loops if (problem := loop.problem(now))}

    @property
    def ready(self) -> bool:
        """Whether all essential loops work."""
        now = seconds_now()
        return not any(loop.essential and loop.problem(now) for loop in self._loops)

    @property
    def alive(self) -> bool:
        """False if only a restart of the process helps: a loop failed for good, or ignores its cancellation."""
        now = seconds_now()
        return self._error is None and all(loop.overdue(now) < STUCK_SECONDS for loop in self._loops)

    def check(self) -> None:
        """Raises LoopError if a loop failed for good."""
        if self._error is not None:
            raise self._error

    @override
    def collect(self) -> Iterable[Metric]:
        restarts = CounterMetricFamily(
            "runwright_loop_restarts", "Restarts of a background loop after an error.", labels=("loop",)
        )
        up = GaugeMetricFamily("runwright_loop_up", "0 while a background loop does no work.", labels=("loop",))
        down, running = self.down, {loop.name for loop in self._loops}
        for name in sorted(running | self._restarts.keys()):
            restarts.add_metric([name], self._restarts[name])
        for name in sorted(running):
            up.add_metric([name], int(name not in down))
        yield restarts
        yield up


class LoopGroup:
    """Background loops that end together. An async context manager: leaving it cancels the loops and waits for them."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def __aenter__(self) -> LoopGroup:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
            for task in left:
                logger.error("loop %s did not end within %.0f s of its cancellation", task.get_name(), CLOSE_SECONDS)

    def start(
        self,
        name: str,
        step: Step,
        *,
        after: float = 0.0,
        limit: float | None = None,
        wake: asyncio.Event | None = None,
        backoff: Backoff | None = None,
        ends_after: int | None = None,
        essential: bool = True,
    ) -> None:
        """Start a loop, in a task of its own, which survives a cancellation until the group is left.

        A step that returns None counts as failed. `after` is the pause before the first pass; `wake` ends a pause early, but
        no back-off, and is cleared before each pass. A pass that takes more than `limit` seconds is cancelled, and counts as failed; None is for a pass
        without an end. After `ends_after` unexpected errors in a row, the process ends. While an `essential` loop is down, the
        process is not ready. Loops may share a name.
        """
        loop = Loop(name, backoff or Backoff(), limit, ends_after, essential)
        self._tasks.add(asyncio.create_task(self._run(loop, step, after, wake), name=name))

    def cancel(self) -> None:
        """Cancel the loops, at once or as soon as they run again."""
        self._closing = True
        for task in self._tasks:
            task.cancel()

    async def _run(self, loop: Loop, step: Step, pause: float, wake: asyncio.Event | None) -> None:
        supervisor, given = self._supervisor, wake
        with supervisor.shown(loop):
            while not self._closing:
                try:
                    await pause_for(pause, given)
                    if wake is not None:
                        wake.clear()
                    pause = ended_by_itself(await supervisor.run_pass(loop, step))
                    given = wake
                except FATAL:
                    raise
                except BaseException as error:
                    if self._closing:
                        return
                    uncancel()
                    pause, given = supervisor.failed(loop, error), None


def seconds_now() -> float:
    """The time of the event loop, in seconds."""
    return asyncio.get_running_loop().time()


async def pause_for(seconds: float, wake: asyncio.Event | None) -> None:
    """Wait for this time, at most until `wake` is set; other tasks get a turn in any case."""
    if wake is None and seconds < math.inf:
        await asyncio.sleep(max(0.0, seconds))
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds if seconds < math.inf else None):
            await (wake or asyncio.Event()).wait()


def ended_by_itself(pause: float | None) -> float:
    """The pause. Raises TransientError for None: the loop has ended, though it should not."""
    if pause is None:
        raise TransientError("it ended by itself")
    return pause


def is_cancelled(error: BaseException) -> bool:
    """Whether the current task was cancelled. A CancelledError of something that it waits for is an error as any other.

    Kopf (1.45.2) cancels all tasks that it does not know when it ends, among them those of requests.
    """
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def uncancel() -> None:
    """Take back all cancellations of the current task."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def describe_failure(error: BaseException) -> str:
    """An error on one line, of bounded length."""
    if isinstance(error, asyncio.CancelledError):
        return "it was cancelled, or a request was cut off"
    text = str(error) if isinstance(error, TransientError) else error_line(error)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
