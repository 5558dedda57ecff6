"""Takes in watch events: each updates the cache and enqueues a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from runwright.api.resources import PIPELINE_RUNS, RETENTION_POLICIES, WORKFLOWS
from runwright.api.retentionpolicy import POLICY_NAME
from runwright.controller.cache import RunCache
from runwright.controller.initial_lists import InitialLists
from runwright.controller.kopf_stream import Arrivals
from runwright.controller.policies import Policies
from runwright.controller.queue import WorkQueue
from runwright.controller.series import RunSeries
from runwright.core.metrics.series import Sample
from runwright.core.records import RunRecord, WorkflowRecord
from runwright.core.run_record import run_record
from runwright.core.workflow.record import has_many_nodes, workflow_record
from runwright.kube.objects import Json, Key, as_mapping, key_of, spec_of, uid_of, version_of

DELETED = "DELETED"


class ReadRun(NamedTuple):
    """What is kept of a PipelineRun."""

    run: RunRecord
    sample: Sample | None


def read_policy(body: Json) -> Json:
    """The fields of a RetentionPolicy that are used."""
    return {"spec": spec_of(body)}


class Intake:
    """The handlers of watch events."""

    def __init__(
        self,
        cache: RunCache,
        queue: WorkQueue[Key],
        policies: Policies,
        series: RunSeries,
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`refused` is called with the reason for each object that is beyond a bound."""
        self._cache = cache
        self._queue = queue
        self._policies = policies
        self._series = series
        self.lists = InitialLists(self.finish_lists)
        self.arrivals = Arrivals(
            {PIPELINE_RUNS: self._read_run, WORKFLOWS: self._read_workflow, RETENTION_POLICIES: read_policy}, refused
        )

    def pipelinerun(self, event: str | None, body: Json) -> None:
        """Take in an event of a PipelineRun; `event` is the watch's type, None for an object of the initial list.

        A run whose label leaves the watch's selection arrives as DELETED, as it was before (Kubernetes 1.34).
        """
        self.lists.remove(uid_of(body))
        arrived = self.arrivals.pop(body)
        run, sample = arrived if isinstance(arrived, ReadRun) else self._read_run(body)
        if event == DELETED:
            self._cache.leave_watch(run.key, run.uid)
            self._series.drop(run.key)
            self._queue.add(run.key, low_priority=True)
            return
        self._cache.put_run(run)
        self._series.put(run.key, sample)
        under_way = run.status.workflow is not None and not run.finished
        self._enqueue(event, run.key, alone=under_way and not self._cache.has_workflow(run.key))

    def workflow(self, event: str | None, body: Json) -> None:
        """Take in an event of a Workflow with the run label."""
        key = key_of(body)
        self.lists.remove(uid_of(body))
        arrived = self.arrivals.pop(body)
        workflow = arrived if isinstance(arrived, WorkflowRecord) else self._read_workflow(body)
        if event == DELETED:
            self._cache.mark_workflow_deleted(workflow)
        elif workflow is not self._held_workflow(key):
            self._cache.put_workflow(workflow)
        self._enqueue(event, key, alone=not workflow.finished and self._cache.run(key) is None)

    def policy(self, event: str | None, body: Json) -> None:
        """Take in an event of a RetentionPolicy."""
        key = key_of(body)
        policy = self.arrivals.pop(body) or read_policy(body)
        if key.name == POLICY_NAME:
            self._policies.update(key.namespace, None if event == DELETED else as_mapping(policy))

    def finish_lists(self) -> None:
        """Enqueue the runs that waited for the initial lists."""
        for key in [key for key, live in self._cache.live_runs() if live.awaited]:
            self._cache.live(key).awaited = False
            self._queue.add(key)

    def _read_run(self, body: Json) -> ReadRun:
        """Read a run. The operator holds the versions that it wrote since the replies."""
        held = self._cache.run(key_of(body))
        if held is None or (held.uid, held.resource_version) != (uid_of(body), version_of(body)):
            held = run_record(body)
        return ReadRun(held, self._series.read(body))

    def _read_workflow(self, body: Json) -> WorkflowRecord:
        held = self._held_workflow(key_of(body))
        if held is not None and (held.uid, held.resource_version) == (uid_of(body), version_of(body)):
            return held
        return workflow_record(body, with_nodes=not has_many_nodes(body))

    def _held_workflow(self, key: Key) -> WorkflowRecord | None:
        live = self._cache.find_live(key)
        return live.workflow if live is not None else None

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
