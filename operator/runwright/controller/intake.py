"""Takes in watch events: each updates the cache and enqueues a run."""

from __future__ import annotations

from runwright.api.retentionpolicy import POLICY_NAME
from runwright.controller.cache import RunCache
from runwright.controller.initial_lists import InitialLists
from runwright.controller.policies import Policies
from runwright.controller.queue import WorkQueue
from runwright.controller.series import RunSeries
from runwright.core.run_record import run_record
from runwright.core.workflow.record import has_many_nodes, workflow_record
from runwright.kube.objects import Json, Key, key_of, uid_of, version_of

DELETED = "DELETED"


class Intake:
    """The handlers of watch events."""

    def __init__(self, cache: RunCache, queue: WorkQueue[Key], policies: Policies, series: RunSeries) -> None:
        self._cache = cache
        self._queue = queue
        self._policies = policies
        self._series = series
        self.lists = InitialLists(self.finish_lists)

    def pipelinerun(self, event: str | None, body: Json) -> None:
        """Take in an event of a PipelineRun; `event` is the watch's type, None for an object of the initial list.

        A run whose label leaves the watch's selection arrives as DELETED, as it was before (Kubernetes 1.34).
        """
        key, uid = key_of(body), uid_of(body)
        self.lists.remove(uid)
        held = self._cache.run(key)
        if held is not None and event != DELETED and (held.uid, held.resource_version) == (uid, version_of(body)):
            # The operator wrote this version, and holds it since the reply.
            run = held
        else:
            run = run_record(body)
        if event == DELETED:
            self._cache.leave_watch(run.key, run.uid)
            self._series.drop(run.key)
            self._queue.add(run.key, low_priority=True)
            return
        self._cache.put_run(run)
        self._series.put(run.key, body)
        under_way = run.status.workflow is not None and not run.finished
        self._enqueue(event, run.key, alone=under_way and not self._cache.has_workflow(run.key))

    def workflow(self, event: str | None, body: Json) -> None:
        """Take in an event of a Workflow with the run label."""
        key, uid = key_of(body), uid_of(body)
        self.lists.remove(uid)
        live = self._cache.find_live(key)
        workflow = live.workflow if live is not None else None
        held = workflow is not None and (workflow.uid, workflow.resource_version) == (uid, version_of(body))
        if workflow is None or not held or event == DELETED:
            workflow = workflow_record(body, with_nodes=not has_many_nodes(body))
            if event == DELETED:
                self._cache.mark_workflow_deleted(workflow)
            else:
                self._cache.put_workflow(workflow)
        self._enqueue(event, key, alone=not workflow.finished and self._cache.run(key) is None)

    def policy(self, event: str | None, body: Json) -> None:
        """Take in an event of a RetentionPolicy."""
        key = key_of(body)
        if key.name == POLICY_NAME:
            self._policies.update(key.namespace, None if event == DELETED else body)

    def finish_lists(self) -> None:
        """Enqueue the runs that waited for the initial lists."""
        for key in [key for key, live in self._cache.live_runs() if live.awaited]:
            self._cache.live(key).awaited = False
            self._queue.add(key)

    def _enqueue(self, event: str | None, key: Key, *, alone: bool) -> None:
        """Enqueue the run; during the initial lists, one that was listed without its counterpart waits for their end.

        The lists of runs and Workflows are read at the same time. Without the wait, a start with 10,000 runs would read up to
        20,000 objects that are about to be listed.
        """
        live = self._cache.live(key)
        live.awaited = alone and event is None and self.lists.running
        if not live.awaited:
            self._cache.prune(key)
            self._queue.add(key)
