"""Holds back the writes of a process that may not be the leader any more: one that slept, or cannot reach the API server."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from runwright.kube.errors import ApiError


def elapsed() -> float:
    """Seconds since some time, those in which the machine or the process slept included."""
    # Linux's CLOCK_MONOTONIC stands still while the machine is suspended.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Fence:
    """Open while a Lease was renewed lately; always open where there is none to hold."""

    def __init__(self, *, always: bool = False, clock: Callable[[], float] = elapsed) -> None:
        self._clock = clock
        self._until = math.inf if always else -math.inf

    @property
    def open(self) -> bool:
        """Whether a write may be sent now."""
        return self._clock() < self._until

    def now(self) -> float:
        """The time by which it goes, in seconds."""
        return self._clock()

    def open_until(self, until: float) -> None:
        """Let writes through until then, as `now` tells the time."""
        self._until = until

    def close(self) -> None:
        """Let no write through."""
        self._until = -math.inf

    def check(self) -> None:
        """Raises ApiError NotLeading where a write may not be sent."""
        if not self.open:
            raise ApiError(0, "NotLeading", "not sent: the Lease of this operator was not renewed in time")
