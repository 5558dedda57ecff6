"""The RunService of run.proto: the checks of each RPC, its one effect on the PipelineRun, and its reply.

docs/run-service.md lists them, and the differences from KFP 1.8.22.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from google.protobuf.empty_pb2 import Empty

from runwright.api.resources import PIPELINE_RUNS, REFERENCED
from runwright.api.states import Shutdown
from runwright.artifacts.locate import find_node_id
from runwright.artifacts.places import ArtifactError
from runwright.artifacts.reader import Artifacts
from runwright.artifacts.workflow import kept_workflow
from runwright.core.edits import Editor, archive_edit, retry_edit, shutdown_edit, unarchive_edit
from runwright.core.workflow.build import Built, Needs, ObjectRef
from runwright.kube.client import Client, get_if_served
from runwright.kube.edit import edit_until_accepted
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, annotations_of, metadata_of, version_of
from runwright.service.artifact_reply import ArtifactReplies
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
    check_owners,
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

NAME_ATTEMPTS = 5
"""Random names that are tried for a new run."""

OBJECT_BYTES = 8 * 1024 * 1024
"""Bytes that a call is charged while it reads a run and its Workflow: etcd holds 1.5 MB of each, encoded."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of the RunService."""

    default_service_account: str = ""
    """Service account for runs that set none; the operator must have the same."""
    max_artifact: int = 16 * 1024 * 1024
    """Largest artifact, in bytes, that ReadArtifact returns: each call holds its artifact in memory, twice or three times.

    With a larger one, `budget.Limits.reply_bytes` and the memory of the container must be larger too.
    """


class RunService:
    """The ten RPCs of the RunService."""

    def __init__(
        self,
        client: Client,
        runs: Runs,
        lists: RunLists,
        manifests: Manifests,
        experiments: Experiments,
        tenancy: Tenancy,
        artifacts: Artifacts,
        options: RunOptions,
    ) -> None:
        self._client = client
        self._runs = runs
        self._lists = lists
        self._manifests = manifests
        self._experiments = experiments
        self._tenancy = tenancy
        self._artifacts = artifacts
        self._options = options
        self._metrics = MetricReports(runs)
        self._replies = ArtifactReplies()

    def methods(self) -> Methods:
        """The methods by their names in the contract."""
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
        """Create a run, and store its manifest. Raises ServiceError."""
        asked = check_create_request(request.run)
        if len(call.idempotency_key) > MAX_KEY:
            raise invalid_argument(f"idempotency-key: expected up to {MAX_KEY} characters")
        namespace, experiment = await self._place(asked, call)
        check_owners(asked, namespace)
        found = await self._checked(asked, namespace, call.caller.user)
        if experiment is None:
            default = await self._experiments.default(namespace)
            experiment = default.id, default.name
        stored = await self._manifests.store(namespace, asked.manifest) if asked.manifest else None
        try:
            created = await self._create(asked, namespace, experiment, call)
        except (ServiceError, ApiError) as error:
            # After another error, the run may have been created.
            if stored and (isinstance(error, ServiceError) or 400 <= error.code < 500):
                await self._manifests.discard(stored)
            raise
        built = await asyncio.to_thread(
            preview_workflow, validate_run(dict(created)), asked.manifest, found, self._options.default_service_account
        )
        workflow = built.workflow if isinstance(built, Built) else {}
        return RunDetail(
            run=fill_service_account(run_message(created, asked.manifest), workflow),
            pipeline_runtime=PipelineRuntime(workflow_manifest=await workflow_json(workflow) if workflow else ""),
        )

    async def _place(self, asked: RunRequest, call: Call) -> tuple[str, tuple[str, str] | None]:
        """The namespace of the new run, and id and name of its experiment; None for the Default experiment.

        Checks that the caller may create runs there. Raises ServiceError.
        """
        if not asked.experiment_id:
            if not self._tenancy.only_namespace:
                raise invalid_argument(f"{PREFIX}: Job has no experiment.")
            await self._tenancy.require(call, "create", self._tenancy.only_namespace)
            return self._tenancy.only_namespace, None
        row = await self._tenancy.experiment_of_runs(asked.experiment_id, call, "create")
        return self._tenancy.namespace_named(row.key.namespace), (row.id, row.name)

    async def _checked(self, asked: RunRequest, namespace: str, user: str) -> dict[ObjectRef, Any]:
        """Build the Workflow of the new run as a check; returns the objects that were read for it. Raises ServiceError."""
        body = build_pipeline_run(asked, namespace, "x" * 8, user, ("0", "x"))
        model = await asyncio.to_thread(validate_run, body)
        found: dict[ObjectRef, Any] = {}
        account = self._options.default_service_account
        while isinstance(
            built := await asyncio.to_thread(preview_workflow, model, asked.manifest, found, account), Needs
        ):
            for ref in built.objects:
                found[ref] = await get_if_served(self._client, REFERENCED[ref.kind], Key(ref.namespace, ref.name))
        return found

    async def _create(self, asked: RunRequest, namespace: str, experiment: tuple[str, str], call: Call) -> Json:
        """Create the run, or find the one created with this idempotency key before. Raises ServiceError."""
        for _ in range(NAME_ATTEMPTS):
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
        body = await self._client.get(PIPELINE_RUNS, key)
        if body is None:
            raise ServiceError(Code.ABORTED, f"PipelineRun {key} was deleted just now; try again")
        annotations = annotations_of(body)
        if annotations.get(REQUEST_DIGEST) != asked.digest:
            raise ServiceError(
                Code.ALREADY_EXISTS, "idempotency-key: another request was sent with this key; use a new one"
            )
        self._runs.index(body)
        return body

    # ---------------------------------------------------------------------------------------------------------- read

    async def get_run(self, request: GetRunRequest, call: Call) -> RunDetail:
        """Return a run with its manifest and Workflow. Raises ServiceError."""
        key = (await self._tenancy.run(request.run_id, call, "get")).key
        await call.reply.add_when_free(OBJECT_BYTES)
        found = await self._runs.read(request.run_id, key)
        manifest, workflow = await asyncio.gather(
            self._runs.manifest(found.body), kept_workflow(self._client, found.key, found.id)
        )
        text = await workflow_json(workflow) if workflow else ""
        size = len(manifest) + len(text)
        await call.reply.add_when_free(size - OBJECT_BYTES)
        call.reply.drop(OBJECT_BYTES - size)
        return RunDetail(
            run=fill_service_account(run_message(found.body, manifest), workflow or {}),
            pipeline_runtime=PipelineRuntime(workflow_manifest=text),
        )

    async def read_artifact(self, request: ReadArtifactRequest, call: Call) -> ReadArtifactResponse:
        """Return an artifact as it is in the object store, not unpacked. Raises ServiceError."""
        key = (await self._tenancy.run(request.run_id, call, "get", "artifacts")).key
        await call.reply.add_when_free(OBJECT_BYTES)
        found = await self._runs.read(request.run_id, key)
        workflow = await kept_workflow(self._client, found.key, found.id)
        what = f"artifact runs/{request.run_id}/nodes/{request.node_id}/artifacts/{request.artifact_name}"
        if workflow is None:
            raise ServiceError(Code.NOT_FOUND, f"{what} not found.: the run has no Workflow and no WorkflowSnapshot")
        limit = self._options.max_artifact
        call.reply.drop(OBJECT_BYTES)
        try:
            node = await asyncio.to_thread(find_node_id, workflow, request.node_id)
            pieces = self._artifacts.read(workflow, node, request.artifact_name, raw=True, limit=limit)
            return await self._replies.read(pieces, call)
        except ArtifactError as error:
            code, message = ARTIFACT_CODES.get(error.reason, Code.FAILED_PRECONDITION), f"{what}: {error.message}"
            if error.reason == "TooLarge":
                message = (
                    f"{what}: it has more than {limit} bytes, the limit of a reply (--max-artifact-bytes); read it with "
                    f"`runwright artifact {key.namespace}/{key.name}`"
                )
            raise ServiceError(code, message) from error

    # ---------------------------------------------------------------------------------------------------------- edit

    async def archive_run(self, request: ArchiveRunRequest, call: Call) -> Empty:
        """Archive a run; no effect on an archived one. Raises ServiceError."""
        return await self._edit(request.id, call, archive_edit)

    async def unarchive_run(self, request: UnarchiveRunRequest, call: Call) -> Empty:
        """Take a run out of the archive; no effect on an available one. Raises ServiceError."""
        return await self._edit(request.id, call, unarchive_edit)

    async def delete_run(self, request: DeleteRunRequest, call: Call) -> Empty:
        """Delete a run with its Workflow and pods. Raises ServiceError."""
        await self._runs.delete(await self._allowed(request.id, call, "delete"))
        return Empty()

    async def terminate_run(self, request: TerminateRunRequest, call: Call) -> Empty:
        """Stop a run; its exit handlers run, as in KFP. No effect on a run that was terminated before.

        Raises ServiceError.
        """
        failed = f"Terminate run failed: Failed to terminate run {request.run_id}"
        return await self._edit(request.run_id, call, shutdown_edit(Shutdown.STOP), Code.INVALID_ARGUMENT, failed)

    async def retry_run(self, request: RetryRunRequest, call: Call) -> Empty:
        """Retry a failed run, and take it out of the archive. No effect while a requested retry has not started.

        Raises ServiceError.
        """
        failed = "Retry run failed: Workflow must be Failed/Error to retry"
        return await self._edit(request.run_id, call, retry_edit, Code.ABORTED, failed)

    async def report_run_metrics(self, request: ReportRunMetricsRequest, call: Call) -> ReportRunMetricsResponse:
        """Add metrics to a run; each has its own result. Raises ServiceError where the run does not exist."""
        key = (await self._tenancy.run(request.run_id, call, "patch", "metrics")).key
        return await self._metrics.report(request.run_id, key, request.metrics)

    async def _edit(
        self, id: str, call: Call, decide: Editor, code: Code = Code.ABORTED, failed: str = "Edit run failed"
    ) -> Empty:
        """Read a run, decide an edit, and write it; again where others write the run at the same time.

        Raises ServiceError; with this code and text where the edit is refused.
        """
        key = (await self._tenancy.run(id, call, "patch")).key

        async def write(run: StoredRun) -> Empty:
            edit = decide(run.body)
            if edit.refused:
                raise ServiceError(code, f"{failed}: {edit.message}")
            if edit.patch is not None:
                metadata = {**metadata_of(edit.patch), "resourceVersion": version_of(run.body)}
                await self._runs.edit(run, {**edit.patch, "metadata": metadata})
            return Empty()

        return await edit_until_accepted(lambda: self._runs.read(id, key), write, EDIT_ATTEMPTS)

    async def _allowed(self, id: str, call: Call, verb: str) -> StoredRun:
        """Read a run for a caller with this right. Raises ServiceError."""
        key = (await self._tenancy.run(id, call, verb)).key
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
"""By the reason of an ArtifactError; other reasons map to FAILED_PRECONDITION: a person must act first."""


def fill_service_account(run: Run, workflow: Json) -> Run:
    """Set the run's service account from its Workflow, where the run names none."""
    if not run.service_account:
        run.service_account = workflow_service_account(dict(workflow))
    return run
