"""ListRuns: answered from the index, with the manifests of the runs on the page."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from runwright.service.budget import Quota
from runwright.service.calls import Call
from runwright.service.contract.resource_reference_pb2 import ResourceKey, ResourceType
from runwright.service.contract.run_pb2 import ListRunsRequest, ListRunsResponse, Run
from runwright.service.errors import Code, ServiceError, invalid_argument, unavailable
from runwright.service.filters import parse_filter
from runwright.service.index import Index
from runwright.service.order import Scope
from runwright.service.paging import Pages, check_id
from runwright.service.rows import ALL, METRIC_PREFIX, RunRow, experiment_scope_id
from runwright.service.single_flight import SingleFlight
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
"""The fields to filter and sort runs by, with their types: those of KFP 1.8.22, and the last three."""

MAX_REPLY = 4 * 1024 * 1024 - 64 * 1024
"""Bytes of a reply, as a protobuf message: a page with large manifests has fewer rows than requested.

A client of gRPC takes 4 MiB by default. One run always fits: etcd holds 1.5 MB of an object.
"""

BYTES_WITH_A_RUN = 8
"""Bytes of a run's tag and length in the message."""

MAX_SEARCHES = 64
"""Lists that are searched or sorted, or wait for that; the index carries out a few of them at a time."""

READS_OF_A_LIST = 4
"""Runs that are read at the same time for one list, beside those that are in the reply already."""

READS_AT_A_TIME = 8
"""Runs that are read at the same time for all lists."""

SEARCHES_OF_A_CALLER = 2
"""Lists of one caller that are searched or sorted at the same time."""

SEARCH_WAIT_SECONDS = 20.0

ReadRun = Callable[[RunRow], Coroutine[Any, Any, Run]]


class RunLists:
    """Lists of runs."""

    def __init__(self, index: Index[RunRow], pages_key: bytes, read_run: ReadRun, tenancy: Tenancy) -> None:
        """`read_run` returns the message of a listed run, with its manifest."""
        self._index = index
        self._pages = Pages(pages_key, "Run", FIELDS, (METRIC_PREFIX,))
        self._read_run = read_run
        self._tenancy = tenancy
        self._searches = Quota("lists that are searched", MAX_SEARCHES, SEARCHES_OF_A_CALLER)
        self._reads = asyncio.Semaphore(READS_AT_A_TIME)
        self._shared = SingleFlight[Run]()

    async def list_runs(self, request: ListRunsRequest, call: Call) -> ListRunsResponse:
        """Return a page of runs. Raises ServiceError."""
        scope = await self._scope(request, call)
        listing = self._pages.read(scope, request.page_token, request.page_size, request.sort_by, request.filter)
        matches = parse_filter(listing.filter, FIELDS)
        if not self._index.synced:
            raise unavailable("the list of runs is not complete yet; try again in a moment")
        with self._searches.hold(call.caller.user) as turn:
            await turn.add_when_free(1, SEARCH_WAIT_SECONDS)
            rows, total, more = await self._index.page(scope, listing.order, listing.after, listing.size, matches)
        # As much again as the reply takes: what is read for it.
        await call.reply.add_when_free(2 * MAX_REPLY)
        reply, read = ListRunsResponse(total_size=total), ReadAhead(rows, self._message)
        async with aclosing(read.messages()) as messages:
            async for run in messages:
                if read.bytes > MAX_REPLY and reply.runs:
                    more = True
                    break
                reply.runs.append(run)
        call.reply.drop(2 * MAX_REPLY - read.bytes)
        if more and reply.runs:
            reply.next_page_token = self._pages.token(listing, rows[len(reply.runs) - 1])
        return reply

    async def _message(self, row: RunRow) -> Run:
        """The message of a run; callers that list it at the same time share it."""
        async with self._reads:
            return await self._shared.call((row.id, row.version), lambda: self._read_run(row))

    async def _scope(self, request: ListRunsRequest, call: Call) -> Scope:
        """The scope of the list, after the check that the caller may list it."""
        key = request.resource_reference_key
        check_id("resource_reference_key.id", key.id)
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
            if namespace := self._tenancy.only_namespace:
                await self._tenancy.require(call, "list", namespace)
            else:
                namespace = (await self._tenancy.experiment_of_runs(key.id, call, "list")).key.namespace
            return kind, experiment_scope_id(namespace, key.id)
        else:
            await self._all(call)
        return kind, key.id

    async def _all(self, call: Call) -> Scope:
        """The scope of all runs, in single-user mode of its namespace; checks that the caller may list them."""
        namespace = self._tenancy.only_namespace
        try:
            await self._tenancy.require(call, "list", namespace)
        except ServiceError as error:
            if namespace or error.code != Code.PERMISSION_DENIED:
                raise
            raise invalid_argument("ListRuns must filter by resource reference in multi-user mode.") from error
        return ("NAMESPACE", namespace) if namespace else ALL


class ReadAhead:
    """The messages of rows, in order; the next ones are read ahead, as far as they probably fit into the reply."""

    def __init__(self, rows: list[RunRow], read_run: ReadRun) -> None:
        self._rows = iter(rows)
        self._read_run = read_run
        self._reading = deque[asyncio.Task[Run]]()
        self._largest = 0
        self.bytes = 0
        """Bytes of the messages so far, in a list."""

    async def messages(self) -> AsyncGenerator[Run]:
        """Yield the messages. Close the generator (`aclosing`) if you do not read all of them."""
        try:
            while True:
                while len(self._reading) < self._ahead() and (row := next(self._rows, None)) is not None:
                    self._reading.append(asyncio.create_task(self._read_run(row)))
                if not self._reading:
                    return
                run = await self._reading.popleft()
                size = run.ByteSize() + BYTES_WITH_A_RUN
                self.bytes += size
                self._largest = max(self._largest, size)
                yield run
        finally:
            for one in self._reading:
                one.cancel()
            await asyncio.gather(*self._reading, return_exceptions=True)

    def _ahead(self) -> int:
        if not self._largest:
            return READS_OF_A_LIST
        return max(1, min(READS_OF_A_LIST, (MAX_REPLY - self.bytes) // self._largest))


def resource_type_name(key: ResourceKey) -> str:
    """The name of the type in the contract; its number where it has no name."""
    return ResourceType.Name(key.type) if key.type in ResourceType.values() else str(key.type)
