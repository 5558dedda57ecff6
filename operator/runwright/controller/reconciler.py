"""The reconcile loop: observe, decide, act, write the status, post Events. `core` decides."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from runwright.api.pipelinerun import PipelineRunStatus
from runwright.api.resources import PIPELINE_RUNS
from runwright.controller.actions import GONE, Actions, Observation
from runwright.controller.cache import RunCache, is_later
from runwright.controller.collector import Collector, Reader
from runwright.controller.events import event_body
from runwright.controller.finished import LONGEST_WAIT, FinishedRuns
from runwright.controller.lane import Lane
from runwright.controller.measures import Measures
from runwright.controller.policies import Policies
from runwright.controller.scope import Scope
from runwright.core.archive.storage import POLL
from runwright.core.decision import AT_ONCE, NOTHING, Decision
from runwright.core.finished import is_settled
from runwright.core.reconcile import reconcile
from runwright.core.records import Kept, NotSeen, RunRecord, Seen, WorkflowRecord
from runwright.core.retention.periods import NO_TERMS, RetentionTerms, due_times, retention_terms
from runwright.core.status.patch import merge_patch
from runwright.core.workflow.build import BuildOptions
from runwright.kube.client import Client
from runwright.kube.clock import Clock
from runwright.kube.decoding import TOO_COMPLEX, TOO_DEEP
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kube.resource import EVENTS

logger = logging.getLogger(__name__)

MAX_STEPS = 8
"""Maximum decisions in one reconcile. A run that needs more changes faster than it is read: the queue retries later."""

RUN_LAG = 10.0
"""How long, in seconds, to wait for the watch event of a finished Workflow's run. An archived run has none."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A run to decide about; or none now, and the delay after which to look again."""

    observation: Observation | None = None
    requeue_after: float | None = None
    """Seconds; None for never."""


class Reconciler:
    """Reconciles runs. Everything that a restart needs is in etcd."""

    def __init__(
        self,
        client: Client,
        scope: Scope,
        cache: RunCache,
        clock: Clock,
        options: BuildOptions,
        policies: Policies,
        wake: Callable[[Key], None],
        measures: Measures,
        reader: Reader,
    ) -> None:
        """`wake` enqueues a run that became surplus, or has its metrics read."""
        self._client = client
        self._cache = cache
        self._clock = clock
        self._policies = policies
        self._wake = wake
        self._measures = measures
        lane = Lane()
        self.collector = Collector(client, reader, cache, wake, lane, measures.object_refused)
        self._actions = Actions(client, scope, cache, clock, options, measures, self.collector, lane)
        self.finished = FinishedRuns(cache)

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile a run; returns the requeue delay in seconds, or None.

        Raises ApiError if the API server refuses or does not reply: the caller retries.
        """
        found = await self._observe(key)
        observed = found.observation
        if observed is None:
            return found.requeue_after
        for _ in range(MAX_STEPS):
            run = observed.run
            if run is None:
                self._cache.forget(key)
                self.finished.drop(key)
                return None
            terms = await self._terms(run)
            decision = reconcile(run, observed.seen, self._clock.now(), self._cache.recall(key), terms)
            if decision.action is not None:
                observed = await self._actions.carry_out(run, observed.seen, decision.action)
            elif decision.status is not None:
                written = await self._write(run, decision, decision.status)
                if written is None:
                    return None
                if decision.requeue_after != AT_ONCE and not written.archived:
                    # The watch reports the write, which enqueues the run for the next decision.
                    return seconds(decision)
                observed = Observation(written, observed.seen)
            elif run.deleting or (run.finished and is_settled(run)):
                return self._settle(run, observed.seen, terms, decision)
            else:
                if decision == NOTHING:
                    # The status has the phase already: the next phase change has a lag of its own.
                    self._cache.pop_phase_lag(key)
                return self._poll_archived(run, seconds(decision))
        raise ApiError(409, "Conflict", f"PipelineRun {key} changes faster than it can be read")

    async def _observe(self, key: Key) -> Observed:
        """Take the run from the cache, or read it where the watches do not report it; or wait."""
        run = self._cache.run(key)
        left = self._cache.pop_unwatched(key)
        if run is not None and not run.archived:
            workflow = self._cache.workflow(run)
            if workflow is not None and workflow.partial:
                return Observed(await self._actions.read_nodes(run, workflow))
            return Observed(Observation(run, workflow or NotSeen()))
        if run is not None or left or self._cache.has_unfinished_workflow(key):
            # The run is not watched, or was not reported yet, or has finished while its Workflow runs.
            return Observed(await self._look(key, left))
        workflow = self._cache.has_workflow(key)
        wait = self.finished.seconds_until_due(key, workflow, self._clock.now())
        if wait is None and not workflow:
            return Observed(GONE)
        if wait is None:
            # Its run is reported soon, or is archived and still has its Workflow.
            live = self._cache.live(key)
            live.unclaimed = not live.unclaimed
            return Observed(requeue_after=RUN_LAG) if live.unclaimed else Observed(await self._look(key, left))
        if wait == 0.0:
            return Observed(await self._look(key, left))
        self._cache.drop_workflow(key)
        return Observed(requeue_after=min(wait, LONGEST_WAIT.total_seconds()) if wait != float("inf") else None)

    async def _look(self, key: Key, left: bool) -> Observation:
        try:
            return await self._actions.look(key)
        except BaseException:
            # Also after a cancelled request: nothing else would enqueue the run to be read.
            if left:
                self._cache.mark_unwatched(key)
            raise

    def _poll_archived(self, run: RunRecord, wait: float | None) -> float | None:
        """The requeue delay of an unfinished run. An archived one is not watched: poll for edits."""
        if not run.archived:
            return wait
        return min(wait, POLL.total_seconds()) if wait is not None else POLL.total_seconds()

    async def _terms(self, run: RunRecord) -> RetentionTerms:
        """The retention terms of the run. Enqueues the run that its end made surplus."""
        if not run.finished or run.deleting:
            self.finished.drop(run.key)
            return NO_TERMS
        policy = await self._policies.of(run.key.namespace)
        if run.archived:
            return retention_terms(run, policy, surplus=False)
        surplus, beyond = self.finished.put(run, policy)
        if beyond is not None and self.finished.mark_due(beyond):
            self._wake(beyond)
        return retention_terms(run, policy, surplus)

    def _settle(self, run: RunRecord, seen: Seen, terms: RetentionTerms, decision: Decision) -> float | None:
        """Drop a finished run for which nothing is due now; returns the requeue delay in seconds, or None."""
        cached = self._cache.run(run.key)
        if cached is not None and (cached.uid != run.uid or is_later(cached.resource_version, run.resource_version)):
            # The run was edited or replaced during the decision: it is in the queue, and must stay in the cache.
            return None
        known = isinstance(seen, WorkflowRecord | Kept) if not isinstance(seen, NotSeen) else None
        if known is None and self._cache.has_workflow(run.key):
            # It was reported during the decision. The record is forgotten below, and its event does not come again.
            known = True
        self._cache.forget(run.key)
        if run.deleting:
            return None
        now = self._clock.now()
        self.finished.schedule(run, due_times(run, terms), known, now)
        wait = self.finished.seconds_until_due(run.key, False, now)
        if wait == 0.0 and not isinstance(seen, NotSeen):
            # A step is due and cannot be taken now.
            wait = (decision.requeue_after or LONGEST_WAIT).total_seconds()
        return min(wait, LONGEST_WAIT.total_seconds()) if wait not in (None, float("inf")) else None

    async def _write(self, run: RunRecord, decision: Decision, status: PipelineRunStatus) -> RunRecord | None:
        patch = merge_patch(status_json(run.status), status_json(status))
        try:
            # The resourceVersion is a precondition: the API server refuses the patch if others wrote the run since it was read.
            body = {"metadata": {"resourceVersion": run.resource_version}, "status": patch}
            written = await self._client.patch(PIPELINE_RUNS, run.key, body, "status")
        except ApiError as error:
            if error.code == 409:
                await self._actions.read_run(run.key)
            raise
        if written is None:
            self._cache.forget(run.key)
            return None
        record = self._actions.keep_run(written)
        self._cache.remember(run.key, replace(self._cache.recall(run.key), written_at=self._clock.now()))
        self._measures.written(run, record, self._cache.pop_phase_lag(run.key))
        self._log(run, status)
        for notice in decision.notices:
            if notice.refused and notice.reason not in (TOO_DEEP, TOO_COMPLEX):
                # Those are counted where the object is decoded.
                self._measures.object_refused(notice.reason)
            try:
                await self._client.create(EVENTS, event_body(run, notice, self._clock.now()))
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    logger.warning("no Event %s for PipelineRun %s: %s", notice.reason, run.key, error)
        return record

    def _log(self, run: RunRecord, status: PipelineRunStatus) -> None:
        if status.phase != run.status.phase:
            logger.info("phase %s%s", status.phase, f": {status.message}" if status.message else "")
        if status.storage_state not in (None, run.status.storage_state):
            logger.info("storage state %s", status.storage_state)


def seconds(decision: Decision) -> float | None:
    """The requeue delay of a decision, at most LONGEST_WAIT: the clock may have been set."""
    return min(decision.requeue_after, LONGEST_WAIT).total_seconds() if decision.requeue_after else None


def status_json(status: PipelineRunStatus) -> dict[str, object]:
    """The status as JSON."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)
