"""Where watch events come in: each becomes a record in the store and a key in the queue."""

from __future__ import annotations

import asyncio

from runwright.api.retentionpolicy import POLICY_NAME
from runwright.controller.policies import Policies
from runwright.controller.queue import WorkQueue
from runwright.controller.series import RunSeries
from runwright.controller.store import Store
from runwright.core.run_record import run_record
from runwright.core.workflow.record import workflow_record
from runwright.kube.objects import Json, Key, key_of

DELETED = "DELETED"

LISTS_SECONDS = 10.0
"""Once the first lists have told nothing for so long, they are taken to be over. Until then a run waits for the list of Workflows to
tell of its own, and a Workflow for its run: both lists are read at the same time, and to ask for what is about to be told would be
two requests a run (20,000 at a start with 10,000 runs). A later list tells of little that is not known: nothing waits for that."""

LISTS_AT_MOST = 300.0
"""Seconds after which they are taken to be over in any case: a watch that breaks again and again begins them anew each time."""


class Intake:
    """Takes the events of the watch streams."""

    def __init__(self, store: Store, queue: WorkQueue[Key], policies: Policies, series: RunSeries) -> None:
        self._store = store
        self._queue = queue
        self._policies = policies
        self._series = series
        self._awaited: set[Key] = set()
        self._listed_at = 0.0
        self._lists_end_by: float | None = None
        self._lists_over = False

    def pipelinerun(self, event: str | None, body: Json) -> None:
        """An event about a PipelineRun; `event` is the watch's type, None for what the initial list told.

        A run that is labelled out of the watch's selection arrives as DELETED, as it was before (Kubernetes 1.34).
        """
        self._note(event)
        run = run_record(body)
        if event == DELETED:
            self._store.left_watch(run.key, run.uid)
            self._series.drop(run.key)
            self._queue.add(run.key, patient=True)
            return
        self._store.put_run(run)
        self._series.put(run.key, body)
        under_way = run.status.workflow is not None and not run.finished
        self._add(event, run.key, alone=under_way and not self._store.has_workflow(run.key))

    def workflow(self, event: str | None, body: Json) -> None:
        """An event about a Workflow that carries the run label."""
        self._note(event)
        workflow = workflow_record(body)
        if event == DELETED:
            self._store.deleted_workflow(workflow)
        else:
            self._store.put_workflow(workflow)
        self._add(event, workflow.key, alone=not workflow.finished and self._store.run(workflow.key) is None)

    def policy(self, event: str | None, body: Json) -> None:
        """An event about a RetentionPolicy."""
        key = key_of(body)
        if key.name == POLICY_NAME:
            self._policies.told(key.namespace, None if event == DELETED else body)

    def _note(self, event: str | None) -> None:
        """Notice that the first lists go on; that they are over, where a watch tells of something before they told of anything."""
        if self._lists_over:
            return
        if event is not None:
            self._lists_over = self._lists_end_by is None
            return
        loop = asyncio.get_running_loop()
        self._listed_at = loop.time()
        if self._lists_end_by is None:
            self._lists_end_by = self._listed_at + LISTS_AT_MOST
            loop.call_later(LISTS_SECONDS, self._end_lists, self._lists_end_by)

    def _add(self, event: str | None, key: Key, *, alone: bool) -> None:
        """Have the run looked at: at once, or once the first lists are over, where they have told of it or its Workflow alone."""
        if event is None and alone and not self._lists_over:
            self._awaited.add(key)
        else:
            self._awaited.discard(key)
            self._queue.add(key)

    def _end_lists(self, end_by: float) -> None:
        loop = asyncio.get_running_loop()
        over_at = min(self._listed_at + LISTS_SECONDS, end_by)
        if loop.time() < over_at:
            loop.call_at(over_at, self._end_lists, end_by)
            return
        self._lists_over = True
        for key in self._awaited:
            self._queue.add(key)
        self._awaited.clear()
