"""The workers: a bounded number of runs reconciled at a time, each key by one worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from runwright.controller.queue import WorkQueue
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kube.supervise import FATAL, LoopGroup, is_cancelled
from runwright.log import run_context

logger = logging.getLogger(__name__)

WORKERS = 16
"""Runs reconciled at a time: enough to keep one core busy while requests wait for the API server."""


RECONCILE_SECONDS = 120.0
"""How long one reconcile may take: some requests of 20 seconds. Hanging ones would use up the workers."""

ENDS_AFTER = 10
"""The process ends after so many errors in a row of one worker outside of a reconcile: the queue is damaged."""

Reconcile = Callable[[Key], Awaitable[float | None]]
"""Reconciles a run; returns the requeue delay in seconds, or None."""


def start_workers(loops: LoopGroup, queue: WorkQueue[Key], reconcile: Reconcile, workers: int) -> None:
    """Start the workers: each reconciles one key of the queue after the other."""
    for _ in range(workers):
        loops.start("workers", partial(work_one, queue, reconcile), ends_after=ENDS_AFTER)


async def work_one(queue: WorkQueue[Key], reconcile: Reconcile) -> float:
    """Wait for a key and reconcile it; returns 0. An error is logged, and the key is retried."""
    key = await queue.get()
    try:
        with run_context(key):
            await reconcile_key(queue, reconcile, key)
    finally:
        queue.done(key)
    return 0.0


async def reconcile_key(queue: WorkQueue[Key], reconcile: Reconcile, key: Key) -> None:
    """Reconcile the key and requeue it as the result says. Raises CancelledError only if the worker is cancelled."""
    try:
        async with asyncio.timeout(RECONCILE_SECONDS):
            again = await reconcile(key)
    except TimeoutError:
        seconds = queue.retry(key)
        logger.error("the reconcile had no end after %.0f s; trying again in %.1f s", RECONCILE_SECONDS, seconds)
    except ApiError as error:
        seconds = again_after(queue, key, error.wait)
        level = logging.DEBUG if error.code == 409 else logging.WARNING
        logger.log(level, "%s; trying again in %.1f s", error, seconds)
    except FATAL:
        raise
    except BaseException as error:
        if is_cancelled(error):
            raise
        seconds = queue.retry(key)
        if isinstance(error, asyncio.CancelledError):
            logger.warning("a request was cut off; trying again in %.1f s", seconds)
        else:
            logger.exception("unexpected error; trying again in %.1f s", seconds)
    else:
        queue.succeeded(key)
        if again is not None:
            queue.add_after(key, again)


def again_after(queue: WorkQueue[Key], key: Key, wait: float | None) -> float:
    """Requeue the key after `wait` seconds, or after its back-off if that is None; returns the delay."""
    if wait is None:
        return queue.retry(key)
    queue.add_after(key, wait)
    return wait
