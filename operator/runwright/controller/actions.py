"""Carries out one action of a decision and returns the observation after it. `core` decides."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from runwright.api.labels import SHARD_LABEL
from runwright.api.pipelinerun import PipelineRun
from runwright.api.resources import PIPELINE_RUNS, REFERENCED, WORKFLOWS
from runwright.controller.cache import RunCache
from runwright.controller.collector import Collector
from runwright.controller.lane import Lane
from runwright.controller.leftovers import clear_leftovers
from runwright.controller.measures import Measures
from runwright.controller.scope import Scope
from runwright.controller.snapshots import Snapshots
from runwright.core.decision import (
    Action,
    CollectMetrics,
    CreateWorkflow,
    DeleteRun,
    DeleteWorkflow,
    FindSnapshot,
    ReadAgain,
    RecreateWorkflow,
    RestoreWorkflow,
    RetryWorkflow,
    SaveSnapshot,
    SetLabels,
    ShutDownWorkflow,
)
from runwright.core.records import Absent, Kept, NotSeen, Refusal, RunRecord, Seen, WorkflowRecord
from runwright.core.retry.attempt import is_retry_due
from runwright.core.retry.reset import has_claims, reset_workflow
from runwright.core.run_record import run_record
from runwright.core.status.refusals import (
    cut_object,
    invalid_run,
    read_forbidden,
    refusal_from_error,
    retry_forbidden,
)
from runwright.core.status.sizes import is_large
from runwright.core.workflow.build import BuildOptions, Built, Needs, ObjectRef, build_workflow, in_shard
from runwright.core.workflow.ownership import is_new_attempt
from runwright.core.workflow.record import (
    ATTEMPT_ANNOTATION,
    GENERATION_ANNOTATION,
    SOURCE_ANNOTATION,
    controller_reference,
    has_many_nodes,
    workflow_record,
)
from runwright.kube.client import Client, get_if_served
from runwright.kube.clock import Clock
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_mapping, as_text, incompleteness, metadata_of, uid_of

logger = logging.getLogger(__name__)

MAX_READS = 8
"""Maximum rounds of reads of the objects that a Workflow is built from."""

LARGE_SOURCE = 20_000
"""Characters of a Workflow's sources above which it is built in a thread: YAML takes a second for each million."""

DELETED_UNREAD = "the Workflow was deleted before its nodes were read"


@dataclass(frozen=True, slots=True)
class Observation:
    """A run and its Workflow as last seen; no run where it does not exist."""

    run: RunRecord | None
    seen: Seen


GONE = Observation(None, Absent())


class Actions:
    """The writes of a decision's actions, with the reads before them."""

    def __init__(
        self,
        client: Client,
        scope: Scope,
        cache: RunCache,
        clock: Clock,
        options: BuildOptions,
        measures: Measures,
        collector: Collector,
        lane: Lane,
    ) -> None:
        self._client = client
        self._scope = scope
        self._cache = cache
        self._clock = clock
        self._options = options
        self._snapshots = Snapshots(client, lane)
        self._measures = measures
        self._collector = collector
        self._lane = lane

    async def carry_out(self, run: RunRecord, seen: Seen, action: Action) -> Observation:
        """Carry an action out. Raises ApiError if the API server refuses or does not reply: the caller retries."""
        match action:
            case ReadAgain():
                return await self.look(run.key)
            case CreateWorkflow():
                return await self._create(run)
            case DeleteWorkflow():
                return await self._delete(run, action)
            case ShutDownWorkflow():
                return await self._shut_down(run, action)
            case CollectMetrics(workflow, nodes):
                self._collector.begin(workflow, nodes)
                return Observation(run, seen)
            case RetryWorkflow(workflow):
                return await self._if_allowed(run, self._retry(run, workflow))
            case RecreateWorkflow():
                return await self._if_allowed(run, self._restart(run))
            case SaveSnapshot(workflow):
                return await self._keep_snapshot(run, workflow)
            case FindSnapshot():
                return Observation(run, Absent(snapshot=await self._snapshots.there(run)))
            case RestoreWorkflow():
                return await self._put_back(run)
            case SetLabels() | DeleteRun():
                return await self._change_run(run, seen, action)

    # --------------------------------------------------------------------------------------------------------- reads

    async def look(self, key: Key) -> Observation:
        """Read the run and its Workflow from the API server."""
        # First the run, then the Workflow: the other way round, a Workflow that is created and recorded between the
        # two reads would look like one that was deleted.
        run = await self.read_run(key)
        body = await self._client.get(WORKFLOWS, key) if run else None
        if run is None or body is None:
            return Observation(run, Absent())
        workflow = await self._kept(run, body)
        shard = self._options.shard
        if shard and workflow.shard != shard and workflow.owner_uid == run.uid and not workflow.finished:
            # The run moved here from another shard: without the label, this shard's watch does not report its Workflow.
            patch = {"metadata": {"uid": workflow.uid, "labels": {SHARD_LABEL: shard}}}
            body = await self._client.patch(WORKFLOWS, key, patch)
            if body is None:
                return Observation(run, Absent())
            logger.info("Workflow %s belongs to shard %s now", key, shard)
            workflow = await self._kept(run, body)
        return Observation(run, workflow)

    async def read_run(self, key: Key) -> RunRecord | None:
        """Read the run from the API server."""
        body = await self._scope.get_run(self._client, key)
        return self.keep_run(body) if body is not None else None

    def keep_run(self, body: Json) -> RunRecord:
        """Put the run into the cache; returns its record."""
        run = run_record(body)
        self._cache.put_run(run)
        return run

    async def read_nodes(self, run: RunRecord, partial: WorkflowRecord) -> Observation:
        """Read the Workflow of a run with its nodes, which were left out of the record."""
        body = await self._client.get(WORKFLOWS, run.key)
        if body is not None and uid_of(body) == partial.uid:
            return Observation(run, await self._kept(run, body))
        if not partial.finished:
            return await self.look(run.key)
        return Observation(run, replace(partial, partial=False, nodes_problem=DELETED_UNREAD))

    async def _kept(self, run: RunRecord, body: Json) -> WorkflowRecord:
        """Put the Workflow into the cache; returns its record. Many nodes are read only if the run owns the Workflow."""
        if not has_many_nodes(body):
            workflow = workflow_record(body)
        elif controller_reference(metadata_of(body)).get("uid") == run.uid:
            workflow = await self._lane.run(run.key.namespace, workflow_record, body)
        else:
            workflow = workflow_record(body, with_nodes=False)
        self._cache.put_workflow(workflow)
        return workflow

    # ----------------------------------------------------------------------------------------------------- a Workflow

    async def _create(self, known: RunRecord) -> Observation:
        """Create the run's first Workflow, from the run as etcd has it now: the cache may be behind."""
        body = await self._scope.get_run(self._client, known.key)
        if body is None:
            return GONE
        run = self.keep_run(body)
        if run.uid != known.uid or run.finished or run.deleting or run.status.workflow or run.shutdown:
            return Observation(run, NotSeen())
        built = await self._build(run, body)
        return self._refused(run, built) if isinstance(built, Refusal) else await self._create_workflow(run, built)

    async def _create_workflow(self, run: RunRecord, workflow: Json) -> Observation:
        try:
            created = await self._client.create(WORKFLOWS, in_shard(workflow, self._options.shard))
        except ApiError as error:
            if error.reason == "AlreadyExists":
                # Created before a crash, or by others: its owner reference shows which.
                return await self.look(run.key)
            refusal = refusal_from_error(error.code, error.reason, error.message, error.causes)
            if refusal is None:
                raise
            return self._refused(run, refusal)
        logger.info("created Workflow %s", run.key)
        return Observation(run, await self._kept(run, created))

    async def _delete(self, run: RunRecord, action: DeleteWorkflow) -> Observation:
        workflow = action.workflow
        logger.info("deleting Workflow %s (uid %s): %s", workflow.key, workflow.uid, action.why)
        if run.finished:
            # Before the request: the DELETED event may arrive before the reply.
            self._cache.expect_deletion(workflow)
        try:
            await self._client.delete(WORKFLOWS, workflow.key, uid=workflow.uid, version=workflow.resource_version)
        except BaseException:
            self._cache.cancel_deletion(workflow)
            raise
        self._cache.forget_memory(run.key)
        self._cache.drop_workflow(workflow.key, workflow.uid)
        return Observation(run, Absent() if run.finished else NotSeen())

    async def _shut_down(self, run: RunRecord, action: ShutDownWorkflow) -> Observation:
        workflow = action.workflow
        logger.info("shutting down Workflow %s: %s", workflow.key, action.how.value)
        patch = {"metadata": {"uid": workflow.uid}, "spec": {"shutdown": action.how.value}}
        body = await self._client.patch(WORKFLOWS, workflow.key, patch)
        if body is None:
            self._cache.drop_workflow(workflow.key, workflow.uid)
            return Observation(run, NotSeen())
        return Observation(run, await self._kept(run, body))

    async def _build(self, record: RunRecord, body: Json) -> Json | Refusal:
        if mark := incompleteness(body):
            return cut_object(mark)
        try:
            run = PipelineRun.model_validate(body)
        except ValidationError as error:
            return invalid_run(error)
        objects: dict[ObjectRef, Json | None] = {}
        for _ in range(MAX_READS):
            match await self._try_build(run, objects):
                case Needs(refs):
                    for ref in refs:
                        try:
                            found = await get_if_served(
                                self._client, REFERENCED[ref.kind], Key(ref.namespace, ref.name)
                            )
                        except ApiError as error:
                            if error.code == 403:
                                return read_forbidden(ref, error.message)
                            raise
                        if found is not None and (mark := incompleteness(found)):
                            self._measures.object_refused(mark.reason)
                        objects[ref] = found
                case Built(workflow):
                    annotations = workflow["metadata"].setdefault("annotations", {})
                    annotations[GENERATION_ANNOTATION] = str(record.generation)
                    annotations[SOURCE_ANNOTATION] = record.source_digest
                    annotations[ATTEMPT_ANNOTATION] = str(record.retries)
                    return workflow
                case Refusal() as refusal:
                    return refusal
        raise ApiError(0, "TooManyReads", f"the Workflow of PipelineRun {record.key} needs objects without end")

    async def _try_build(self, run: PipelineRun, objects: dict[ObjectRef, Json | None]) -> Needs | Built | Refusal:
        sources = [run.spec.workflow.manifest, run.spec.workflow.spec, run.spec.parameters, *objects.values()]
        if is_large(sources, LARGE_SOURCE):
            namespace = as_text(run.metadata.get("namespace"))
            return await self._lane.run(namespace, build_workflow, run, objects, self._options)
        return build_workflow(run, objects, self._options)

    def _refused(self, run: RunRecord, refusal: Refusal) -> Observation:
        memory = replace(
            self._cache.recall(run.key),
            refused_at=self._clock.now(),
            refused_generation=run.generation,
            refusal_heals=refusal.heals,
        )
        self._cache.remember(run.key, memory)
        return Observation(run, refusal)

    # ------------------------------------------------------------------------------------------------ a further attempt

    async def _if_allowed(self, run: RunRecord, attempt: Awaitable[Observation]) -> Observation:
        """Await the attempt; returns a refusal if the operator lacks a right."""
        try:
            return await attempt
        except ApiError as error:
            if error.code != 403:
                raise
            return self._refused(run, retry_forbidden(error.message))

    async def _retry(self, run: RunRecord, known: WorkflowRecord) -> Observation:
        """Reset the Workflow and number the attempt, in one write that conflicts if others wrote the Workflow meanwhile."""
        body = await self._client.get(WORKFLOWS, run.key)
        if body is None:
            self._cache.drop_workflow(known.key, known.uid)
            return Observation(run, Absent())
        workflow = await self._kept(run, body)
        if workflow.uid != known.uid or is_new_attempt(run, workflow) or workflow.phase not in ("Failed", "Error"):
            return Observation(run, workflow)
        reset = await self._lane.thread(
            has_many_nodes(body), run.key.namespace, reset_workflow, body, self._clock.now()
        )
        if isinstance(reset, Refusal):
            return self._refused(run, reset)
        await clear_leftovers(self._client, run.key, reset.removed)
        renewed = in_shard(numbered(reset.workflow, run), self._options.shard)
        written = await self._client.replace(WORKFLOWS, renewed)
        if written is None:
            return Observation(run, Absent())
        logger.info("retrying Workflow %s: attempt %d, %d nodes run again", run.key, run.retries, len(reset.removed))
        return Observation(run, await self._kept(run, written))

    async def _restart(self, known: RunRecord) -> Observation:
        """Start the attempt without a Workflow: from its snapshot, or else from the run's spec."""
        body = await self._scope.get_run(self._client, known.key)
        if body is None:
            return GONE
        run = self.keep_run(body)
        if run.uid != known.uid or run.deleting or run.archived or not is_retry_due(run):
            return Observation(run, NotSeen())
        removed: frozenset[str] | None = None
        workflow: Json | Refusal | None = await self._snapshots.last_workflow(run)
        if workflow is not None and has_claims(workflow):
            logger.info("the volumes of Workflow %s were deleted with it: starting from the beginning", run.key)
            workflow = None
        if workflow is not None:
            reset = await self._lane.thread(
                has_many_nodes(workflow), run.key.namespace, reset_workflow, workflow, self._clock.now()
            )
            if isinstance(reset, Refusal):
                return self._refused(run, reset)
            workflow, removed = reset.workflow, reset.removed
        else:
            workflow = await self._build(run, body)
            if isinstance(workflow, Refusal):
                return self._refused(run, workflow)
        await clear_leftovers(self._client, run.key, removed)
        return await self._create_workflow(run, numbered(workflow, run))

    # ---------------------------------------------------------------------------------------------------------- archive

    async def _keep_snapshot(self, run: RunRecord, known: WorkflowRecord) -> Observation:
        body = await self._client.get(WORKFLOWS, run.key)
        if body is None:
            self._cache.drop_workflow(known.key, known.uid)
            return Observation(run, Absent())
        workflow = await self._kept(run, body)
        if workflow.uid != known.uid or not workflow.finished:
            return Observation(run, workflow)
        if mark := incompleteness(body):
            logger.warning("Workflow %s stays: %s", run.key, mark.message)
            return Observation(
                run, Kept(workflow, f"the Workflow stays, no snapshot can hold all of it: {mark.message}")
            )
        try:
            size = await self._snapshots.keep(run, body)
        except ApiError as error:
            if error.code != 403:
                raise
            logger.warning("Workflow %s stays: %s", run.key, error)
            return Observation(
                run, Kept(workflow, f"the Workflow stays: the operator may not keep it ({error.message})")
            )
        if size:
            self._measures.snapshot_size.observe(size)
            return Observation(run, Kept(workflow))
        logger.warning("Workflow %s is too large for a snapshot, and stays", run.key)
        return Observation(run, Kept(workflow, "the Workflow is too large for a WorkflowSnapshot, and stays as it is"))

    async def _put_back(self, run: RunRecord) -> Observation:
        workflow = await self._snapshots.finished_workflow(run)
        if workflow is None:
            return Observation(run, Absent(snapshot=False))
        return await self._create_workflow(run, workflow)

    async def _change_run(self, run: RunRecord, seen: Seen, action: SetLabels | DeleteRun) -> Observation:
        if isinstance(action, DeleteRun):
            logger.info("deleting the run: its retention period has ended")
            await self._client.delete(PIPELINE_RUNS, run.key, uid=run.uid, version=run.resource_version)
            return GONE
        labels = dict(action.labels)
        logger.info("labelling the run: %s", ", ".join(f"{name}={value or '(none)'}" for name, value in labels.items()))
        patch = {"metadata": {"resourceVersion": run.resource_version, "labels": labels}}
        body = await self._client.patch(PIPELINE_RUNS, run.key, patch)
        return GONE if body is None else Observation(self.keep_run(body), seen)


def numbered(workflow: Json, run: RunRecord) -> dict[str, Any]:
    """Annotate the Workflow with the number of the requested attempt."""
    metadata: dict[str, Any] = dict(workflow["metadata"])
    annotations = {**as_mapping(metadata.get("annotations")), ATTEMPT_ANNOTATION: str(run.retries)}
    return {**workflow, "metadata": {**metadata, "annotations": annotations}}
