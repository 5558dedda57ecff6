"""Runs by their ids: found through the index, read and written as etcd has them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from runwright.api.pipelinerun import PLURAL
from runwright.core.workflow.record import workflow_nodes
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_text, metadata_of, status_of, uid_of
from runwright.ports import OwnObjects
from runwright.service.errors import Code, ServiceError, invalid_argument, not_found, unavailable
from runwright.service.index import Index
from runwright.service.manifests import Manifests
from runwright.service.present import inline_manifest, protobuf_text, run_manifest_ref
from runwright.service.rows import RunRow
from runwright.service.tenancy import WAIT_SECONDS

EDIT_ATTEMPTS = 8
"""Times that an edit is made anew because somebody else has written the run meanwhile."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as etcd has it."""

    key: Key
    id: str
    body: Json


class Runs:
    """The PipelineRuns behind the ids that clients name."""

    def __init__(
        self, objects: OwnObjects, index: Index[RunRow], row: Callable[[Json], RunRow], manifests: Manifests
    ) -> None:
        self._objects = objects
        self._index = index
        self._row = row
        self._manifests = manifests

    async def key(self, id: str) -> Key:
        """Where the run is. Raises ServiceError (NOT_FOUND, UNAVAILABLE)."""
        row = await self._index.wait_for(id, WAIT_SECONDS)
        if row is None and not self._index.synced:
            raise unavailable("runs are still being listed; try again in a moment")
        if row is None:
            raise not_found("Run", id)
        return row.key

    async def read(self, id: str, key: Key) -> StoredRun:
        """The run as etcd has it now. Raises ServiceError (NOT_FOUND), ApiError."""
        body = await self._objects.get(PLURAL, key)
        if body is None or uid_of(body) != id:
            raise not_found("Run", id)
        self.told(body)
        return StoredRun(key, id, body)

    async def create(self, body: Json) -> Json:
        """Create it. Raises ServiceError for what the API server refuses, ApiError."""
        try:
            made = await self._objects.create(PLURAL, body)
        except ApiError as error:
            raise to_client_error(error) or error from error
        self.told(made)
        return made

    async def edit(self, found: StoredRun, patch: Json, subresource: str = "") -> Json:
        """Merge a patch into this very run. Raises ServiceError (NOT_FOUND, what is refused), ApiError (Conflict)."""
        metadata = {"uid": found.id, **metadata_of(patch)}
        try:
            changed = await self._objects.patch(PLURAL, found.key, {**patch, "metadata": metadata}, subresource)
        except ApiError as error:
            raise to_client_error(error) or error from error
        if changed is None:
            raise not_found("Run", found.id)
        self.told(changed)
        return changed

    async def delete(self, found: StoredRun) -> None:
        """Delete it, and all that belongs to it. Raises ServiceError (NOT_FOUND), ApiError."""
        if not await self._objects.delete(PLURAL, found.key, found.id):
            raise not_found("Run", found.id)
        row = self._index.row(found.id)
        if row is not None:
            self._index.remove(found.id, row.version)

    def told(self, body: Json) -> None:
        """What was read or written here is in the next list."""
        self._index.apply(self._row(body))

    async def manifest(self, body: Json) -> str:
        """The manifest that the run was made from, as it was given; empty where there is none any more."""
        ref = run_manifest_ref(body)
        return await self._manifests.read(ref) if ref else inline_manifest(body)

    async def manifest_of_row(self, row: RunRow) -> str:
        """The same for a run of a list; one that holds it itself is read for it."""
        if row.manifest is not None:
            return await self._manifests.read(row.manifest)
        body = await self._objects.get(PLURAL, row.key) if row.inline else None
        return inline_manifest(body) if body is not None else ""


def to_client_error(error: ApiError) -> ServiceError | None:
    """What the API server's refusal of a run means to the client; None where it means nothing to it."""
    if error.code in (400, 413, 422):
        return invalid_argument(error.message)
    if error.code == 403:
        # Ours are the rights; what is left are quotas, admission policies, and a namespace that goes.
        return ServiceError(Code.FAILED_PRECONDITION, error.message)
    if error.code == 404:
        return ServiceError(Code.NOT_FOUND, error.message)
    return None


async def workflow_json(workflow: Json) -> str:
    """A Workflow as JSON, with its nodes readable where Argo has compressed them."""
    return await asyncio.to_thread(encode_workflow, workflow)


def encode_workflow(workflow: Json) -> str:
    """The same, at once."""
    status = dict(status_of(workflow))
    if as_text(status.get("compressedNodes")) and (nodes := workflow_nodes(status)):
        status.pop("compressedNodes")
        workflow = {**workflow, "status": {**status, "nodes": nodes}}
    return protobuf_text(json.dumps(workflow, separators=(",", ":"), ensure_ascii=False))
