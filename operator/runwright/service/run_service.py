"""The RunService of run.proto: each RPC's checks, its one effect on the PipelineRun, and its reply.

docs/run-service.md has the table of them, and what differs from KFP 1.8.22.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from google.protobuf.empty_pb2 import Empty

from runwright.api.states import Shutdown
from runwright.artifacts.locate import find_node_id
from runwright.artifacts.places import ArtifactError
from runwright.artifacts.reader import Artifacts
from runwright.artifacts.workflow import kept_workflow
from runwright.core.edits import Editor, archive_edit, retry_edit, shutdown_edit, unarchive_edit
from runwright.core.workflow.build import Built, Needs, ObjectRef
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, annotations_of, metadata_of
from runwright.ports import Cluster
from runwright.service.calls import Call, Methods
from runwright.service.contract.run_pb2 import (
    ArchiveRunRequest,
    CreateRunRequest,
    DeleteRunRequest,
    GetRunRequest,
    PipelineRuntime,
    ReadArtifactRequest,
    ReadArtifactResponse,
    ReportRunMetricsRequest,
    ReportRunMetricsResponse,
    RetryRunRequest,
    Run,
    RunDetail,
    TerminateRunRequest,
    UnarchiveRunRequest,
)
from runwright.service.create_run import (
    MAX_KEY,
    PREFIX,
    REQUEST_DIGEST,
    RunRequest,
    build_pipeline_run,
    check_create_request,
    choose_run_name,
    preview_workflow,
    validate_run,
    workflow_service_account,
)
from runwright.service.errors import Code, ServiceError, invalid_argument
from runwright.service.experiments import Experiments
from runwright.service.manifests import Manifests
from runwright.service.present import run_message
from runwright.service.run_lists import RunLists
from runwright.service.run_metrics import MetricReports
from runwright.service.runs import EDIT_ATTEMPTS, Runs, StoredRun, workflow_json
from runwright.service.tenancy import Tenancy

NAME_TRIES = 5


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What an admin can choose."""

    default_service_account: str = ""
    """As the operator's: who the pods of a run are, where nobody says so."""
    max_artifact: int = 64 * 1024 * 1024
    """Bytes of an artifact that ReadArtifact gives: all of it is in memory, once for each reader."""


class RunService:
    """The ten RPCs."""

    def __init__(
        self,
        cluster: Cluster,
        runs: Runs,
        lists: RunLists,
        manifests: Manifests,
        experiments: Experiments,
        tenancy: Tenancy,
        artifacts: Artifacts,
        options: RunOptions,
    ) -> None:
        self._cluster = cluster
        self._runs = runs
        self._lists = lists
        self._manifests = manifests
        self._experiments = experiments
        self._tenancy = tenancy
        self._artifacts = artifacts
        self._options = options
        self._metrics = MetricReports(runs)

    def methods(self) -> Methods:
        """By the names of the contract."""
        return {
            "RunService/CreateRun": self.create_run,
            "RunService/GetRun": self.get_run,
            "RunService/ListRuns": self._lists.list_runs,
            "RunService/ArchiveRun": self.archive_run,
            "RunService/UnarchiveRun": self.unarchive_run,
            "RunService/DeleteRun": self.delete_run,
            "RunService/ReportRunMetrics": self.report_run_metrics,
            "RunService/ReadArtifact": self.read_artifact,
            "RunService/TerminateRun": self.terminate_run,
            "RunService/RetryRun": self.retry_run,
        }

    # -------------------------------------------------------------------------------------------------------- create

    async def create_run(self, request: CreateRunRequest, call: Call) -> RunDetail:
        """CreateRun. Raises ServiceError."""
        asked = check_create_request(request.run)
        if len(call.idempotency_key) > MAX_KEY:
            raise invalid_argument(f"idempotency-key: expected up to {MAX_KEY} characters")
        namespace, experiment = await self._place(asked, call)
        await self._tenancy.require(call, "create", namespace)
        found = await self._checked(asked, namespace, call.caller.user)
        if experiment is None:
            default = await self._experiments.default(namespace)
            experiment = default.id, default.name
        if asked.manifest:
            await self._manifests.keep(namespace, asked.manifest)
        made = await self._create(asked, namespace, experiment, call)
        built = await asyncio.to_thread(
            preview_workflow, validate_run(dict(made)), asked.manifest, found, self._options.default_service_account
        )
        workflow = built.workflow if isinstance(built, Built) else {}
        return RunDetail(
            run=fill_service_account(run_message(made, asked.manifest), workflow),
            pipeline_runtime=PipelineRuntime(workflow_manifest=await workflow_json(workflow) if workflow else ""),
        )

    async def _place(self, asked: RunRequest, call: Call) -> tuple[str, tuple[str, str] | None]:
        """Where the run will be, and in which experiment; None for the Default one."""
        if not asked.experiment_id:
            if not self._tenancy.only_namespace:
                raise invalid_argument(f"{PREFIX}: Job has no experiment.")
            return self._tenancy.only_namespace, None
        row = await self._tenancy.experiment(asked.experiment_id)
        return self._tenancy.namespace_named(row.key.namespace), (row.id, row.name)

    async def _checked(self, asked: RunRequest, namespace: str, user: str) -> dict[ObjectRef, Any]:
        """Build the Workflow once, of the run as it would be; gives what was read for that. Raises ServiceError."""
        body = build_pipeline_run(asked, namespace, "x" * 8, user, ("0", "x"))
        model = await asyncio.to_thread(validate_run, body)
        found: dict[ObjectRef, Any] = {}
        account = self._options.default_service_account
        while isinstance(
            built := await asyncio.to_thread(preview_workflow, model, asked.manifest, found, account), Needs
        ):
            for ref in built.objects:
                found[ref] = await self._cluster.get_object(ref)
        return found

    async def _create(self, asked: RunRequest, namespace: str, experiment: tuple[str, str], call: Call) -> Json:
        """The run in etcd: a new one, or the one that this idempotency key has made before. Raises ServiceError."""
        for _ in range(NAME_TRIES):
            name = choose_run_name(asked.run.name, namespace, call.caller.user, call.idempotency_key)
            try:
                return await self._runs.create(build_pipeline_run(asked, namespace, name, call.caller.user, experiment))
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
            if call.idempotency_key:
                return await self._repeated(asked, Key(namespace, name))
        raise ServiceError(Code.ABORTED, "no free name was found for the run; try again")

    async def _repeated(self, asked: RunRequest, key: Key) -> Json:
        body = await self._cluster.get_run(key)
        if body is None:
            raise ServiceError(Code.ABORTED, f"PipelineRun {key} was deleted just now; try again")
        annotations = annotations_of(body)
        if annotations.get(REQUEST_DIGEST) != asked.digest:
            raise ServiceError(
                Code.ALREADY_EXISTS, "idempotency-key: another request has been made with it; take a new one"
            )
        self._runs.told(body)
        return body

    # ---------------------------------------------------------------------------------------------------------- read

    async def get_run(self, request: GetRunRequest, call: Call) -> RunDetail:
        """GetRun. Raises ServiceError."""
        found = await self._allowed(request.run_id, call, "get")
        manifest, workflow = await asyncio.gather(
            self._runs.manifest(found.body), kept_workflow(self._cluster, found.key, found.id)
        )
        return RunDetail(
            run=fill_service_account(run_message(found.body, manifest), workflow or {}),
            pipeline_runtime=PipelineRuntime(workflow_manifest=await workflow_json(workflow) if workflow else ""),
        )

    async def read_artifact(self, request: ReadArtifactRequest, call: Call) -> ReadArtifactResponse:
        """ReadArtifact: the object as it is in the store. Raises ServiceError."""
        key = await self._runs.key(request.run_id)
        await self._tenancy.require(call, "get", key.namespace, key.name, subresource="artifacts")
        found = await self._runs.read(request.run_id, key)
        workflow = await kept_workflow(self._cluster, found.key, found.id)
        what = f"artifact runs/{request.run_id}/nodes/{request.node_id}/artifacts/{request.artifact_name}"
        if workflow is None:
            raise ServiceError(Code.NOT_FOUND, f"{what} not found.: the run has no Workflow, and none was kept")
        limit, data = self._options.max_artifact, bytearray()
        try:
            node = await asyncio.to_thread(find_node_id, workflow, request.node_id)
            async with aclosing(self._artifacts.read(workflow, node, request.artifact_name, raw=True)) as pieces:
                async for piece in pieces:
                    data += piece
                    if len(data) > limit:
                        raise ServiceError(
                            Code.RESOURCE_EXHAUSTED,
                            f"{what}: it has more than the {limit} bytes that one reply may have; `runwright artifact "
                            f"{key.namespace}/{key.name}` reads it whole",
                        )
        except ArtifactError as error:
            raise ServiceError(
                ARTIFACT_CODES.get(error.reason, Code.FAILED_PRECONDITION), f"{what}: {error.message}"
            ) from error
        return ReadArtifactResponse(data=bytes(data))

    # ---------------------------------------------------------------------------------------------------------- edit

    async def archive_run(self, request: ArchiveRunRequest, call: Call) -> Empty:
        """ArchiveRun; of an archived run, it changes nothing. Raises ServiceError."""
        return await self._edit(request.id, call, archive_edit)

    async def unarchive_run(self, request: UnarchiveRunRequest, call: Call) -> Empty:
        """UnarchiveRun; of an available run, it changes nothing. Raises ServiceError."""
        return await self._edit(request.id, call, unarchive_edit)

    async def delete_run(self, request: DeleteRunRequest, call: Call) -> Empty:
        """DeleteRun, with its Workflow and pods. Raises ServiceError."""
        await self._runs.delete(await self._allowed(request.id, call, "delete"))
        return Empty()

    async def terminate_run(self, request: TerminateRunRequest, call: Call) -> Empty:
        """TerminateRun: exit handlers run, as in KFP; of a run that is being ended, or was, it changes nothing.

        Raises ServiceError.
        """
        failed = f"Terminate run failed: Failed to terminate run {request.run_id}"
        return await self._edit(request.run_id, call, shutdown_edit(Shutdown.STOP), Code.INVALID_ARGUMENT, failed)

    async def retry_run(self, request: RetryRunRequest, call: Call) -> Empty:
        """RetryRun, which takes the run out of the archive; where a retry is asked for already, that is the one.

        Raises ServiceError.
        """
        failed = "Retry run failed: Workflow must be Failed/Error to retry"
        return await self._edit(request.run_id, call, retry_edit, Code.ABORTED, failed)

    async def report_run_metrics(self, request: ReportRunMetricsRequest, call: Call) -> ReportRunMetricsResponse:
        """ReportRunMetrics: each metric by itself, in order. Raises ServiceError where there is no such run."""
        key = await self._runs.key(request.run_id)
        await self._tenancy.require(call, "patch", key.namespace, key.name, subresource="metrics")
        return await self._metrics.report(await self._runs.read(request.run_id, key), request.metrics)

    async def _edit(
        self, id: str, call: Call, decide: Editor, code: Code = Code.ABORTED, failed: str = "Edit run failed"
    ) -> Empty:
        """Carry out what is decided of the run as it is now; anew where somebody else writes it meanwhile.

        Raises ServiceError, with this code and words where it is refused.
        """
        found = await self._allowed(id, call, "patch")
        for _ in range(EDIT_ATTEMPTS):
            edit = decide(found.body)
            if edit.refused:
                raise ServiceError(code, f"{failed}: {edit.said}")
            if edit.patch is None:
                return Empty()
            version = metadata_of(found.body).get("resourceVersion")
            metadata = {**metadata_of(edit.patch), "resourceVersion": version}
            try:
                await self._runs.edit(found, {**edit.patch, "metadata": metadata})
                return Empty()
            except ApiError as error:
                if error.code != 409:
                    raise
            found = await self._runs.read(found.id, found.key)
        raise ServiceError(Code.ABORTED, "the run changes faster than it can be edited; try again")

    async def _allowed(self, id: str, call: Call, verb: str) -> StoredRun:
        """The run as it is now, for a caller who may do this with it."""
        key = await self._runs.key(id)
        await self._tenancy.require(call, verb, key.namespace, key.name)
        return await self._runs.read(id, key)


ARTIFACT_CODES = {
    "NodeNotFound": Code.NOT_FOUND,
    "ArtifactNotFound": Code.NOT_FOUND,
    "ObjectNotFound": Code.NOT_FOUND,
    "ArtifactCollected": Code.NOT_FOUND,
    "Refused": Code.FAILED_PRECONDITION,
    "Unreachable": Code.UNAVAILABLE,
    "TooLarge": Code.RESOURCE_EXHAUSTED,
}
"""What an ArtifactError comes to; all else is FAILED_PRECONDITION: it can be read once something is put right."""


def fill_service_account(run: Run, workflow: Json) -> Run:
    """The run with who its pods run as, where it does not say so itself."""
    if not run.service_account:
        run.service_account = workflow_service_account(dict(workflow))
    return run
