"""Carries decisions out: read, decide, act, write the status, post the Events. What is decided stands in `core`."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

from pydantic import ValidationError

from runwright.api.pipelinerun import PipelineRun, PipelineRunStatus
from runwright.core.observe import GENERATION_ANNOTATION, SOURCE_ANNOTATION, run_record, workflow_record
from runwright.core.patch import merge_patch
from runwright.core.reconcile import Action, Create, Decision, Delete, Look, Memory, ShutDown, reconcile
from runwright.core.records import Absent, Key, NotSeen, Refusal, RunRecord, Seen, WorkflowRecord
from runwright.core.refusals import invalid_run, refusal_of, unreadable
from runwright.core.workflow import BuildOptions, Built, Needs, ObjectRef, build_workflow
from runwright.ports import ApiError, Clock, Cluster, Json
from runwright.runtime.store import Store

logger = logging.getLogger(__name__)

MAX_STEPS = 8
"""Decisions in one go at most. A run that needs more is being changed faster than it is read: the queue tries later."""

LONG_MANIFEST = 20_000
"""Characters of a manifest that is read in a thread: YAML takes a second for each million, and the event loop waits."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A run and its Workflow as they are known now; no run where it is gone."""

    run: RunRecord | None
    seen: Seen


class Reconciler:
    """Brings one run at a time to where its decision points. Holds no state that a restart would miss."""

    def __init__(self, cluster: Cluster, store: Store, clock: Clock, options: BuildOptions) -> None:
        self._cluster = cluster
        self._store = store
        self._clock = clock
        self._options = options
        self._memory: dict[Key, Memory] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Do what there is to do for the run; gives the seconds after which to come back, or None.

        Raises ApiError where the API server refuses or cannot be reached: the caller tries again later.
        """
        run = self._store.run(key)
        if run is not None:
            observed = Observation(run, self._store.workflow(run) or NotSeen())
        elif self._store.has_unfinished_workflow(key):
            # Its run was not told of yet, or has ended and should have no Workflow that runs.
            observed = await self._look(key)
        else:
            observed = Observation(None, Absent())
        for _ in range(MAX_STEPS):
            if observed.run is None:
                self._forget(key)
                return None
            decision = reconcile(observed.run, observed.seen, self._clock.now(), self._recall(key))
            if decision.action is not None:
                observed = await self._act(observed.run, decision.action)
            elif decision.status is not None:
                return await self._write(observed.run, decision, decision.status)
            else:
                if observed.run.finished or observed.run.deleting:
                    self._forget(key)
                return seconds(decision)
        raise ApiError(409, "Conflict", f"PipelineRun {key} changes faster than it can be read")

    def _forget(self, key: Key) -> None:
        """Let go of a run that is gone or has ended, and of its Workflow: neither needs anything any more."""
        self._store.drop_run(key)
        self._store.drop_workflow(key)
        self._memory.pop(key, None)

    async def _act(self, run: RunRecord, action: Action) -> Observation:
        match action:
            case Look():
                return await self._look(run.key)
            case Create():
                return await self._create(run)
            case Delete(workflow):
                logger.info(
                    "deleting Workflow %s (uid %s), which is not the run's present one", workflow.key, workflow.uid
                )
                await self._cluster.delete_workflow(workflow)
                self._store.drop_workflow(workflow.key, workflow.uid)
                self._memory.pop(run.key, None)
                return Observation(run, NotSeen())
            case ShutDown(workflow, how):
                logger.info("shutting down Workflow %s: %s", workflow.key, how.value)
                body = await self._cluster.shut_down_workflow(workflow, how)
                if body is None:
                    self._store.drop_workflow(workflow.key, workflow.uid)
                    return Observation(run, NotSeen())
                return Observation(run, self._keep_workflow(body))

    async def _look(self, key: Key) -> Observation:
        # First the run, then the Workflow: the other way round, a Workflow that is created and recorded between the
        # two reads would look like one that was deleted.
        run = await self._read_run(key)
        workflow = await self._cluster.get_workflow(key) if run else None
        if workflow is None:
            return Observation(run, Absent())
        return Observation(run, self._keep_workflow(workflow))

    async def _read_run(self, key: Key) -> RunRecord | None:
        body = await self._cluster.get_run(key)
        return self._keep_run(body) if body is not None else None

    def _keep_run(self, body: Json) -> RunRecord:
        run = run_record(body)
        self._store.put_run(run)
        return run

    def _keep_workflow(self, body: Json) -> WorkflowRecord:
        workflow = workflow_record(body)
        self._store.put_workflow(workflow)
        return workflow

    def _recall(self, key: Key) -> Memory:
        return self._memory.get(key, Memory())

    async def _create(self, known: RunRecord) -> Observation:
        """Create the run's Workflow from the run as etcd has it now, not as the watch told."""
        body = await self._cluster.get_run(known.key)
        if body is None:
            return Observation(None, Absent())
        run = self._keep_run(body)
        if run.uid != known.uid or run.finished or run.deleting or run.status.workflow or run.shutdown:
            return Observation(run, NotSeen())
        built = await self._build(run, body)
        if isinstance(built, Refusal):
            return self._refused(run, built)
        try:
            created = await self._cluster.create_workflow(built)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                # Ours from before a crash, or somebody else's: its owner tells.
                return await self._look(run.key)
            refusal = refusal_of(error.code, error.reason, error.message, error.causes)
            if refusal is None:
                raise
            return self._refused(run, refusal)
        logger.info("created Workflow %s", run.key)
        return Observation(run, self._keep_workflow(created))

    async def _build(self, record: RunRecord, body: Json) -> Json | Refusal:
        try:
            run = PipelineRun.model_validate(body)
        except ValidationError as error:
            return invalid_run(error)
        objects: dict[ObjectRef, Json | None] = {}
        for _ in range(MAX_STEPS):
            match await self._try_build(run, objects):
                case Needs(refs):
                    for ref in refs:
                        try:
                            objects[ref] = await self._cluster.get_object(ref)
                        except ApiError as error:
                            if error.code == 403:
                                return unreadable(ref, error.message)
                            raise
                case Built(workflow):
                    annotations = workflow["metadata"].setdefault("annotations", {})
                    annotations[GENERATION_ANNOTATION] = str(record.generation)
                    annotations[SOURCE_ANNOTATION] = record.source_digest
                    return workflow
                case Refusal() as refusal:
                    return refusal
        raise ApiError(0, "TooManyReads", f"the Workflow of PipelineRun {record.key} needs objects without end")

    async def _try_build(self, run: PipelineRun, objects: dict[ObjectRef, Json | None]) -> Needs | Built | Refusal:
        source = run.spec.workflow
        if source.manifest_from or len(source.manifest or "") > LONG_MANIFEST:
            return await asyncio.to_thread(build_workflow, run, objects, self._options)
        return build_workflow(run, objects, self._options)

    def _refused(self, run: RunRecord, refusal: Refusal) -> Observation:
        self._memory[run.key] = replace(
            self._recall(run.key),
            refused_at=self._clock.now(),
            refused_generation=run.generation,
            refusal_heals=refusal.heals,
        )
        return Observation(run, refusal)

    async def _write(self, run: RunRecord, decision: Decision, status: PipelineRunStatus) -> float | None:
        patch = merge_patch(status_json(run.status), status_json(status))
        try:
            written = await self._cluster.patch_run_status(run, patch)
        except ApiError as error:
            if error.code == 404:
                self._forget(run.key)
                return None
            if error.code == 409:
                # Somebody wrote the run since it was read: read it anew, and let the queue decide again.
                await self._read_run(run.key)
            raise
        self._keep_run(written)
        self._memory[run.key] = replace(self._recall(run.key), written_at=self._clock.now())
        self._log(run, status)
        for notice in decision.notices:
            try:
                await self._cluster.post_event(run, notice, self._clock.now())
            except ApiError as error:
                logger.warning("no Event %s for PipelineRun %s: %s", notice.reason, run.key, error)
        return seconds(decision)

    def _log(self, run: RunRecord, status: PipelineRunStatus) -> None:
        if status.phase != run.status.phase:
            logger.info("phase %s%s", status.phase, f": {status.message}" if status.message else "")


def seconds(decision: Decision) -> float | None:
    """When to come back, as the queue takes it."""
    return decision.requeue_after.total_seconds() if decision.requeue_after else None


def status_json(status: PipelineRunStatus) -> dict[str, object]:
    """The status as it stands in etcd."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)
