"""The ExperimentService of KFP v1beta1: experiments are PipelineExperiments, and runs refer to them."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from google.protobuf.empty_pb2 import Empty

from runwright.api.labels import STORAGE_STATE_LABEL
from runwright.api.pipelineexperiment import KIND
from runwright.api.resources import API_VERSION, PIPELINE_EXPERIMENTS, PIPELINE_RUNS
from runwright.api.states import StorageState
from runwright.kube.client import Client
from runwright.kube.edit import get_or_create
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, uid_of
from runwright.service.calls import Call, Methods
from runwright.service.contract.experiment_pb2 import (
    ArchiveExperimentRequest,
    CreateExperimentRequest,
    DeleteExperimentRequest,
    Experiment,
    GetExperimentRequest,
    ListExperimentsRequest,
    ListExperimentsResponse,
    UnarchiveExperimentRequest,
)
from runwright.service.contract.resource_reference_pb2 import ResourceType
from runwright.service.create_run import slug
from runwright.service.errors import Code, ServiceError, invalid_argument, not_found, to_client_error, unavailable
from runwright.service.experiment_rows import ExperimentRow, experiment_message, experiment_row, row_bytes
from runwright.service.filters import parse_filter
from runwright.service.index import Index
from runwright.service.order import Scope
from runwright.service.paging import Pages, check_id
from runwright.service.rows import ALL, RunRow, experiment_scope_id
from runwright.service.tenancy import Tenancy

FIELDS: dict[str, type] = {"id": str, "name": str, "created_at": int, "description": str, "storage_state": str}
"""The fields to filter and sort experiments by, with their types (KFP 1.8.22)."""

DEFAULT_NAME = "Default"
DEFAULT_DESCRIPTION = "Runs that were created without naming an experiment."
MAX_NAME = 255
MAX_CONCURRENT_ARCHIVES = 16
"""Runs of an experiment that are archived at the same time."""


class Experiments:
    """The ExperimentService."""

    def __init__(
        self,
        client: Client,
        index: Index[ExperimentRow],
        runs: Index[RunRow],
        pages_key: bytes,
        tenancy: Tenancy,
    ) -> None:
        self._client = client
        self._index = index
        self._runs = runs
        self._pages = Pages(pages_key, "Experiment", FIELDS)
        self._tenancy = tenancy

    def methods(self) -> Methods:
        """The methods by their names in the contract."""
        return {
            "ExperimentService/CreateExperiment": self.create_experiment,
            "ExperimentService/GetExperiment": self.get_experiment,
            "ExperimentService/ListExperiment": self.list_experiment,
            "ExperimentService/DeleteExperiment": self.delete_experiment,
            "ExperimentService/ArchiveExperiment": self.archive_experiment,
            "ExperimentService/UnarchiveExperiment": self.unarchive_experiment,
        }

    async def create_experiment(self, request: CreateExperimentRequest, call: Call) -> Experiment:
        """Create an experiment; its name is unique in the namespace. Raises ServiceError."""
        wanted = request.experiment
        if not wanted.name:
            raise invalid_argument(
                "Validate experiment request failed.: Experiment name is empty. Please specify a valid experiment name."
            )
        if len(wanted.name) > MAX_NAME:
            raise invalid_argument(f"Validate experiment request failed.: name: expected up to {MAX_NAME} characters")
        namespace = self._tenancy.namespace_of_new_experiment(list(wanted.resource_references))
        await self._require(call, "create", namespace)
        try:
            body = await self._client.create(
                PIPELINE_EXPERIMENTS, experiment_body(namespace, wanted.name, wanted.description)
            )
        except ApiError as error:
            if error.reason == "AlreadyExists":
                raise ServiceError(
                    Code.ALREADY_EXISTS,
                    f"Failed to create a new experiment. The name {wanted.name} already exists. Please specify a new name.",
                ) from error
            raise to_client_error(error) or error from error
        return self._message(self._indexed(body))

    async def default(self, namespace: str) -> ExperimentRow:
        """Return the experiment of runs that name none; creates it where it does not exist. Raises ApiError."""
        body = experiment_body(namespace, DEFAULT_NAME, DEFAULT_DESCRIPTION)
        return self._indexed(await get_or_create(self._client, PIPELINE_EXPERIMENTS, body))

    async def get_experiment(self, request: GetExperimentRequest, call: Call) -> Experiment:
        """Return an experiment. Raises ServiceError."""
        row = await self._tenancy.experiment(request.id, call, "get")
        return self._message(self._indexed(await self._read(row)))

    async def list_experiment(self, request: ListExperimentsRequest, call: Call) -> ListExperimentsResponse:
        """Return a page of experiments. Raises ServiceError."""
        scope = await self._scope(request, call)
        listing = self._pages.read(scope, request.page_token, request.page_size, request.sort_by, request.filter)
        matches = parse_filter(listing.filter, FIELDS)
        if not self._index.synced:
            raise unavailable("the list of experiments is not complete yet; try again in a moment")
        rows, total, more = await self._index.page(scope, listing.order, listing.after, listing.size, matches)
        await call.reply.add_when_free(sum(map(row_bytes, rows)))
        return ListExperimentsResponse(
            experiments=[self._message(row) for row in rows],
            total_size=total,
            next_page_token=self._pages.token(listing, rows[-1]) if more and rows else "",
        )

    async def delete_experiment(self, request: DeleteExperimentRequest, call: Call) -> Empty:
        """Delete an experiment; its runs stay. Raises ServiceError."""
        row = await self._tenancy.experiment(request.id, call, "delete")
        if not await self._client.delete(PIPELINE_EXPERIMENTS, row.key, uid=row.id):
            raise not_found("Experiment", request.id)
        self._index.remove(row.id, row.version)
        return Empty()

    async def archive_experiment(self, request: ArchiveExperimentRequest, call: Call) -> Empty:
        """Archive an experiment and the runs that it has now. Raises ServiceError."""
        row = await self._store(request.id, call, StorageState.ARCHIVED)
        await self._tenancy.require(call, "patch", row.key.namespace)
        if not self._runs.synced:
            raise unavailable("runs are still being listed; try again in a moment")
        runs = iter(self._runs.in_scope(("EXPERIMENT", experiment_scope_id(row.key.namespace, row.id))))
        patch = {"labels": {STORAGE_STATE_LABEL: StorageState.ARCHIVED.value}}

        async def archive() -> None:
            for run in runs:
                if run.storage_state != "STORAGESTATE_ARCHIVED":
                    await self._client.patch(PIPELINE_RUNS, run.key, {"metadata": {"uid": run.id, **patch}})

        async with asyncio.TaskGroup() as group:
            for _ in range(MAX_CONCURRENT_ARCHIVES):
                group.create_task(archive())
        return Empty()

    async def unarchive_experiment(self, request: UnarchiveExperimentRequest, call: Call) -> Empty:
        """Take an experiment out of the archive; its runs stay as they are. Raises ServiceError."""
        await self._store(request.id, call, None)
        return Empty()

    async def _scope(self, request: ListExperimentsRequest, call: Call) -> Scope:
        namespace, key = self._tenancy.only_namespace, request.resource_reference_key
        check_id("resource_reference_key.id", key.id)
        if not self._tenancy.names_nothing(key):
            if key.type != ResourceType.NAMESPACE or not key.id:
                raise invalid_argument("resource_reference_key: expected type NAMESPACE and the name of one")
            namespace = self._tenancy.namespace_named(key.id)
        try:
            await self._require(call, "list", namespace)
        except ServiceError as error:
            if namespace or error.code != Code.PERMISSION_DENIED:
                raise
            raise invalid_argument(
                "Invalid resource references for experiment. ListExperiment requires filtering by namespace."
            ) from error
        return ("NAMESPACE", namespace) if namespace else ALL

    async def _require(self, call: Call, verb: str, namespace: str) -> None:
        await self._tenancy.require(call, verb, namespace, resource=PIPELINE_EXPERIMENTS.plural)

    async def _read(self, row: ExperimentRow) -> Json:
        body = await self._client.get(PIPELINE_EXPERIMENTS, row.key)
        if body is None or uid_of(body) != row.id:
            raise not_found("Experiment", row.id)
        return body

    async def _store(self, id: str, call: Call, state: StorageState | None) -> ExperimentRow:
        row = await self._tenancy.experiment(id, call, "patch")
        labels = {STORAGE_STATE_LABEL: state.value if state else None}
        changed = await self._client.patch(
            PIPELINE_EXPERIMENTS, row.key, {"metadata": {"uid": row.id, "labels": labels}}
        )
        if changed is None:
            raise not_found("Experiment", id)
        return self._indexed(changed)

    def _indexed(self, body: Json) -> ExperimentRow:
        row = experiment_row(body)
        self._index.apply(row)
        return row

    def _message(self, row: ExperimentRow) -> Experiment:
        return experiment_message(row, multi_user=not self._tenancy.only_namespace)


def experiment_object_name(display_name: str) -> str:
    """The object's name for a display name: equal for equal display names, so that etcd keeps them unique."""
    return f"{slug(display_name)}-{hashlib.sha256(display_name.encode('utf-8', 'replace')).hexdigest()[:10]}"


def experiment_body(namespace: str, name: str, description: str) -> Json:
    """The PipelineExperiment to create."""
    spec: dict[str, Any] = {"displayName": name} | ({"description": description} if description else {})
    metadata = {"name": experiment_object_name(name), "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}
