"""ListRuns: from the index, with the manifests of those runs that are on the page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from runwright.service.calls import Call
from runwright.service.contract.resource_reference_pb2 import ResourceKey, ResourceType
from runwright.service.contract.run_pb2 import ListRunsRequest, ListRunsResponse, Run
from runwright.service.errors import Code, ServiceError, invalid_argument, unavailable
from runwright.service.filters import parse_filter
from runwright.service.index import Index, Scope
from runwright.service.paging import Pages
from runwright.service.rows import ALL, METRIC_PREFIX, RunRow, experiment_scope_id
from runwright.service.tenancy import Tenancy

FIELDS: dict[str, type] = {
    "id": str,
    "name": str,
    "created_at": int,
    "description": str,
    "scheduled_at": int,
    "storage_state": str,
    "status": str,
    "finished_at": int,
    "experiment_id": str,
    "pipeline_id": str,
}
"""What runs are filtered and sorted by: KFP 1.8.22's keys, and the last three."""

MAX_REPLY = 64 * 1024 * 1024
"""Bytes of a page; a page of large manifests ends earlier than it was asked to."""

BYTES_WITH_A_RUN = 400

Manifest = Callable[[RunRow], Awaitable[str]]


class RunLists:
    """Lists of runs."""

    def __init__(self, index: Index[RunRow], pages_key: bytes, manifest_of: Manifest, tenancy: Tenancy) -> None:
        """`manifest_of` gives the manifest of a listed run, empty where it is gone."""
        self._index = index
        self._pages = Pages(pages_key, "Run", FIELDS, (METRIC_PREFIX,))
        self._manifest_of = manifest_of
        self._tenancy = tenancy

    async def list_runs(self, request: ListRunsRequest, call: Call) -> ListRunsResponse:
        """ListRuns of run.proto. Raises ServiceError."""
        scope = await self._scope(request, call)
        listing = self._pages.read(scope, request.page_token, request.page_size, request.sort_by, request.filter)
        matches = parse_filter(listing.filter, FIELDS)
        if not self._index.synced:
            raise unavailable("the list of runs is not complete yet; try again in a moment")
        rows, total, more = await self._index.page(scope, listing.order, listing.after, listing.size, matches)
        # The requests that are made for a page: one for each manifest that is not remembered.
        manifests = await asyncio.gather(*(self._manifest_of(row) for row in rows))
        runs: list[Run] = []
        held = 0
        for row, manifest in zip(rows, manifests, strict=True):
            held += len(row.message) + len(manifest) + BYTES_WITH_A_RUN
            if runs and held > MAX_REPLY:
                more = True
                break
            runs.append(row.run(manifest))
        token = self._pages.token(listing, rows[len(runs) - 1]) if more and runs else ""
        return ListRunsResponse(runs=runs, total_size=total, next_page_token=token)

    async def _scope(self, request: ListRunsRequest, call: Call) -> Scope:
        """Whose runs, once it is known that the caller may list them."""
        key = request.resource_reference_key
        if self._tenancy.names_nothing(key):
            return await self._all(call)
        kind = resource_type_name(key)
        if kind not in ("EXPERIMENT", "NAMESPACE", "JOB", "PIPELINE_VERSION"):
            raise invalid_argument(
                f"Validating filter failed.: Unrecognized resource reference type.: Unsupported resource type: {kind}"
            )
        if not key.id:
            raise invalid_argument(f"resource_reference_key.id: expected the id of the {kind}, found none")
        if kind == "NAMESPACE":
            await self._tenancy.require(call, "list", self._tenancy.namespace_named(key.id))
        elif kind == "EXPERIMENT":
            namespace = await self._tenancy.namespace_of_experiment(key.id)
            await self._tenancy.require(call, "list", namespace)
            return kind, experiment_scope_id(namespace, key.id)
        else:
            await self._all(call)
        return kind, key.id

    async def _all(self, call: Call) -> Scope:
        """All runs: of the one namespace, or of all of them for who may list them everywhere."""
        namespace = self._tenancy.only_namespace
        try:
            await self._tenancy.require(call, "list", namespace)
        except ServiceError as error:
            if namespace or error.code != Code.PERMISSION_DENIED:
                raise
            raise invalid_argument("ListRuns must filter by resource reference in multi-user mode.") from error
        return ("NAMESPACE", namespace) if namespace else ALL


def resource_type_name(key: ResourceKey) -> str:
    """The type as the contract spells it; its number where it has none."""
    return ResourceType.Name(key.type) if key.type in ResourceType.values() else str(key.type)
