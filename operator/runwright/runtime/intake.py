"""Where watch events come in: each becomes a record in the store and a key in the queue."""

from __future__ import annotations

from runwright.api.retentionpolicy import POLICY_NAME
from runwright.core.observe import key_of, run_record, workflow_record
from runwright.core.records import Key
from runwright.ports import Json
from runwright.runtime.policies import Policies
from runwright.runtime.queue import WorkQueue
from runwright.runtime.series import RunSeries
from runwright.runtime.store import Store

DELETED = "DELETED"

LISTS_SECONDS = 10.0
"""How long a run that is first told of waits for the list of Workflows to tell of its own: both are read at the same time, and to
ask for each Workflow would be two requests a run (20,000 at a start with 10,000 runs)."""


class Intake:
    """Takes the events of the watch streams."""

    def __init__(self, store: Store, queue: WorkQueue[Key], policies: Policies, series: RunSeries) -> None:
        self._store = store
        self._queue = queue
        self._policies = policies
        self._series = series

    def pipelinerun(self, event: str | None, body: Json) -> None:
        """An event about a PipelineRun; `event` is the watch's type, None for what the initial list told.

        A run that is labelled out of the watch's selection arrives as DELETED, as it was before (Kubernetes 1.34).
        """
        run = run_record(body)
        if event == DELETED:
            self._store.left_watch(run.key, run.uid)
            self._series.drop(run.key)
            self._queue.add(run.key, patient=True)
            return
        self._store.put_run(run)
        self._series.put(run.key, body)
        under_way = run.status.workflow is not None and not run.finished
        if event is None and under_way and not self._store.has_workflow(run.key):
            self._queue.add_after(run.key, LISTS_SECONDS)
        else:
            self._queue.add(run.key)

    def workflow(self, event: str | None, body: Json) -> None:
        """An event about a Workflow that carries the run label."""
        workflow = workflow_record(body)
        if event == DELETED:
            self._store.deleted_workflow(workflow)
        else:
            self._store.put_workflow(workflow)
        self._queue.add(workflow.key)

    def policy(self, event: str | None, body: Json) -> None:
        """An event about a RetentionPolicy."""
        key = key_of(body)
        if key.name == POLICY_NAME:
            self._policies.told(key.namespace, None if event == DELETED else body)
