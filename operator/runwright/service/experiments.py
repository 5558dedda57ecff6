"""The ExperimentService of KFP v1beta1: experiments are PipelineExperiments, and runs refer to them."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from google.protobuf.empty_pb2 import Empty

from runwright.api.labels import STORAGE_STATE_LABEL
from runwright.api.pipelineexperiment import KIND, PLURAL
from runwright.api.pipelinerun import PLURAL as RUNS
from runwright.api.resources import API_VERSION
from runwright.api.states import StorageState
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, uid_of
from runwright.ports import OwnObjects
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
from runwright.service.errors import Code, ServiceError, invalid_argument, not_found, unavailable
from runwright.service.experiment_rows import ExperimentRow, experiment_message, experiment_row
from runwright.service.filters import parse_filter
from runwright.service.index import Index, Scope
from runwright.service.paging import Pages
from runwright.service.rows import ALL, RunRow, experiment_scope_id
from runwright.service.runs import to_client_error
from runwright.service.tenancy import Tenancy

FIELDS: dict[str, type] = {"id": str, "name": str, "created_at": int, "description": str, "storage_state": str}
"""What experiments are filtered and sorted by (KFP 1.8.22)."""

DEFAULT_NAME = "Default"
DEFAULT_DESCRIPTION = "Runs that were created without naming an experiment."
MAX_NAME = 255
AT_A_TIME = 16
"""Runs that are archived at a time with their experiment."""


class Experiments:
    """The experiments of all namespaces."""

    def __init__(
        self,
        objects: OwnObjects,
        index: Index[ExperimentRow],
        runs: Index[RunRow],
        pages_key: bytes,
        tenancy: Tenancy,
    ) -> None:
        self._objects = objects
        self._index = index
        self._runs = runs
        self._pages = Pages(pages_key, "Experiment", FIELDS)
        self._tenancy = tenancy

    def methods(self) -> Methods:
        """By the names of the contract."""
        return {
            "ExperimentService/CreateExperiment": self.create_experiment,
            "ExperimentService/GetExperiment": self.get_experiment,
            "ExperimentService/ListExperiment": self.list_experiment,
            "ExperimentService/DeleteExperiment": self.delete_experiment,
            "ExperimentService/ArchiveExperiment": self.archive_experiment,
            "ExperimentService/UnarchiveExperiment": self.unarchive_experiment,
        }

    async def create_experiment(self, request: CreateExperimentRequest, call: Call) -> Experiment:
        """CreateExperiment; a name is there once in a namespace. Raises ServiceError."""
        asked = request.experiment
        if not asked.name:
            raise invalid_argument(
                "Validate experiment request failed.: Experiment name is empty. Please specify a valid experiment name."
            )
        if len(asked.name) > MAX_NAME:
            raise invalid_argument(f"Validate experiment request failed.: name: expected up to {MAX_NAME} characters")
        namespace = self._tenancy.namespace_of_new_experiment(list(asked.resource_references))
        await self._require(call, "create", namespace)
        try:
            row = await self._create(namespace, asked.name, asked.description)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                raise ServiceError(
                    Code.ALREADY_EXISTS,
                    f"Failed to create a new experiment. The name {asked.name} already exists. Please specify a new name.",
                ) from error
            raise to_client_error(error) or error from error
        return self._message(row)

    async def default(self, namespace: str) -> ExperimentRow:
        """The experiment of runs that name none; made where it is not there. Raises ApiError."""
        key = Key(namespace, experiment_object_name(DEFAULT_NAME))
        body = await self._objects.get(PLURAL, key)
        if body is None:
            try:
                return await self._create(namespace, DEFAULT_NAME, DEFAULT_DESCRIPTION)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
            body = await self._objects.get(PLURAL, key) or {}
        return self._told(body)

    async def get_experiment(self, request: GetExperimentRequest, call: Call) -> Experiment:
        """GetExperiment. Raises ServiceError."""
        row = await self._tenancy.experiment(request.id)
        await self._require(call, "get", row.key.namespace, row.key.name)
        return self._message(self._told(await self._read(row)))

    async def list_experiment(self, request: ListExperimentsRequest, call: Call) -> ListExperimentsResponse:
        """ListExperiment. Raises ServiceError."""
        scope = await self._scope(request, call)
        listing = self._pages.read(scope, request.page_token, request.page_size, request.sort_by, request.filter)
        matches = parse_filter(listing.filter, FIELDS)
        if not self._index.synced:
            raise unavailable("the list of experiments is not complete yet; try again in a moment")
        rows, total, more = await self._index.page(scope, listing.order, listing.after, listing.size, matches)
        return ListExperimentsResponse(
            experiments=[self._message(row) for row in rows],
            total_size=total,
            next_page_token=self._pages.token(listing, rows[-1]) if more and rows else "",
        )

    async def delete_experiment(self, request: DeleteExperimentRequest, call: Call) -> Empty:
        """DeleteExperiment; its runs stay. Raises ServiceError."""
        row = await self._tenancy.experiment(request.id)
        await self._require(call, "delete", row.key.namespace, row.key.name)
        if not await self._objects.delete(PLURAL, row.key, row.id):
            raise not_found("Experiment", request.id)
        self._index.remove(row.id, row.version)
        return Empty()

    async def archive_experiment(self, request: ArchiveExperimentRequest, call: Call) -> Empty:
        """ArchiveExperiment, and with it the runs that it has now. Raises ServiceError."""
        row = await self._store(request.id, call, StorageState.ARCHIVED)
        await self._tenancy.require(call, "patch", row.key.namespace)
        if not self._runs.synced:
            raise unavailable("runs are still being listed; try again in a moment")
        limit = asyncio.Semaphore(AT_A_TIME)

        async def archive(run: RunRow) -> None:
            async with limit:
                labels = {STORAGE_STATE_LABEL: StorageState.ARCHIVED.value}
                await self._objects.patch(RUNS, run.key, {"metadata": {"uid": run.id, "labels": labels}})

        async with asyncio.TaskGroup() as group:
            for run in self._runs.in_scope(("EXPERIMENT", experiment_scope_id(row.key.namespace, row.id))):
                if run.storage_state != "STORAGESTATE_ARCHIVED":
                    group.create_task(archive(run))
        return Empty()

    async def unarchive_experiment(self, request: UnarchiveExperimentRequest, call: Call) -> Empty:
        """UnarchiveExperiment; its runs stay as they are. Raises ServiceError."""
        await self._store(request.id, call, None)
        return Empty()

    # --------------------------------------------------------------------------------------------------------- parts

    async def _scope(self, request: ListExperimentsRequest, call: Call) -> Scope:
        namespace, key = self._tenancy.only_namespace, request.resource_reference_key
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

    async def _require(self, call: Call, verb: str, namespace: str, name: str = "") -> None:
        await self._tenancy.require(call, verb, namespace, name, resource=PLURAL)

    async def _read(self, row: ExperimentRow) -> Json:
        body = await self._objects.get(PLURAL, row.key)
        if body is None or uid_of(body) != row.id:
            raise not_found("Experiment", row.id)
        return body

    async def _create(self, namespace: str, name: str, description: str) -> ExperimentRow:
        spec: dict[str, Any] = {"displayName": name} | ({"description": description} if description else {})
        metadata = {"name": experiment_object_name(name), "namespace": namespace}
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}
        return self._told(await self._objects.create(PLURAL, body))

    async def _store(self, id: str, call: Call, state: StorageState | None) -> ExperimentRow:
        row = await self._tenancy.experiment(id)
        await self._require(call, "patch", row.key.namespace, row.key.name)
        labels = {STORAGE_STATE_LABEL: state.value if state else None}
        changed = await self._objects.patch(PLURAL, row.key, {"metadata": {"uid": row.id, "labels": labels}})
        if changed is None:
            raise not_found("Experiment", id)
        return self._told(changed)

    def _told(self, body: Json) -> ExperimentRow:
        row = experiment_row(body)
        self._index.apply(row)
        return row

    def _message(self, row: ExperimentRow) -> Experiment:
        return experiment_message(row, multi_user=not self._tenancy.only_namespace)


def experiment_object_name(display_name: str) -> str:
    """The name of the object for what people call it: the same for the same, so that etcd itself has it once."""
    return f"{slug(display_name)}-{hashlib.sha256(display_name.encode('utf-8', 'replace')).hexdigest()[:10]}"
