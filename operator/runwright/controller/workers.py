"""The workers: a bounded number of runs reconciled at a time, each key by one worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from runwright.controller.queue import WorkQueue
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.log import run_context

logger = logging.getLogger(__name__)

WORKERS = 16
"""Runs reconciled at a time: enough to keep one core busy while requests wait for the API server."""


async def work(queue: WorkQueue[Key], reconcile: Callable[[Key], Awaitable[float | None]], workers: int) -> None:
    """Reconcile keys of the queue until cancelled. An error is logged and retried; it does not end a worker."""
    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(work_one(queue, reconcile), name=f"worker-{number}")


async def work_one(queue: WorkQueue[Key], reconcile: Callable[[Key], Awaitable[float | None]]) -> None:
    """Reconcile one key after the other."""
    while True:
        key = await queue.get()
        with run_context(key):
            try:
                again = await reconcile(key)
            except asyncio.CancelledError:
                if not cut_off():
                    raise
                logger.warning("a request was cut off; trying again in %.1f s", queue.retry(key))
            except ApiError as error:
                seconds = again_after(queue, key, error.wait)
                level = logging.DEBUG if error.code == 409 else logging.WARNING
                logger.log(level, "%s; trying again in %.1f s", error, seconds)
            except Exception:
                seconds = queue.retry(key)
                logger.exception("unexpected error; trying again in %.1f s", seconds)
            else:
                queue.succeeded(key)
                if again is not None:
                    queue.add_after(key, again)
            finally:
                queue.done(key)


def again_after(queue: WorkQueue[Key], key: Key, wait: float | None) -> float:
    """Requeue the key after `wait` seconds, or after its back-off if that is None; returns the delay."""
    if wait is None:
        return queue.retry(key)
    queue.add_after(key, wait)
    return wait


def cut_off() -> bool:
    """Whether a CancelledError comes from an awaited task, while the current task itself is not cancelled.

    Kopf (1.45.2) cancels all tasks that it does not know when it ends, among them those of requests.
    """
    task = asyncio.current_task()
    return task is not None and not task.cancelling()
