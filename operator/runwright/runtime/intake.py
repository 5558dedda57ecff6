"""Where watch events come in: each becomes a record in the store and a key in the queue."""

from __future__ import annotations

from runwright.core.observe import run_record, workflow_record
from runwright.core.records import Key
from runwright.ports import Json
from runwright.runtime.queue import WorkQueue
from runwright.runtime.store import Store

DELETED = "DELETED"


class Intake:
    """Takes the events of the two watch streams."""

    def __init__(self, store: Store, queue: WorkQueue[Key]) -> None:
        self._store = store
        self._queue = queue

    def pipelinerun(self, event: str | None, body: Json) -> None:
        """An event about a PipelineRun; `event` is the watch's type, None for what the initial list told."""
        run = run_record(body)
        if event == DELETED:
            self._store.drop_run(run.key, run.uid)
        else:
            self._store.put_run(run)
        self._queue.add(run.key)

    def workflow(self, event: str | None, body: Json) -> None:
        """An event about a Workflow that carries the run label."""
        workflow = workflow_record(body)
        if event == DELETED:
            self._store.deleted_workflow(workflow)
        else:
            self._store.put_workflow(workflow)
        self._queue.add(workflow.key)
