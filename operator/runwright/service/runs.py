"""PipelineRuns by their ids: found through the index, read from and written to the API server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from runwright.api.resources import PIPELINE_RUNS
from runwright.core.workflow.record import workflow_nodes
from runwright.kube.client import Client
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_mapping, as_text, metadata_of, status_of, uid_of
from runwright.service.contract.run_pb2 import Run
from runwright.service.errors import not_found, to_client_error
from runwright.service.index import Index
from runwright.service.manifests import Manifests
from runwright.service.present import inline_manifest, protobuf_text, run_manifest_ref, run_message
from runwright.service.rows import RunRow

FEW_NODES = 100
"""Nodes that are encoded at once, with the rest of their Workflow."""

EDIT_ATTEMPTS = 8
"""How often an edit is decided again because others wrote the run after it was read."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as etcd has it."""

    key: Key
    id: str
    body: Json


class Runs:
    """The PipelineRuns that clients name by id."""

    def __init__(
        self, client: Client, index: Index[RunRow], make_row: Callable[[Json], RunRow], manifests: Manifests
    ) -> None:
        self._client = client
        self._index = index
        self._make_row = make_row
        self._manifests = manifests

    async def read(self, id: str, key: Key) -> StoredRun:
        """Read the run from the API server. Raises ServiceError (NOT_FOUND), ApiError."""
        body = await self._client.get(PIPELINE_RUNS, key)
        if body is None or uid_of(body) != id:
            raise not_found("Run", id)
        self.index(body)
        return StoredRun(key, id, body)

    async def create(self, body: Json) -> Json:
        """Create a run; returns it as stored. Raises ServiceError where the API server refuses it, ApiError."""
        try:
            created = await self._client.create(PIPELINE_RUNS, body)
        except ApiError as error:
            raise to_client_error(error) or error from error
        self.index(created)
        return created

    async def edit(self, run: StoredRun, patch: Json, subresource: str = "") -> Json:
        """Merge a patch into the run with this uid. Raises ServiceError (NOT_FOUND, refusals), ApiError (Conflict)."""
        metadata = {"uid": run.id, **metadata_of(patch)}
        try:
            changed = await self._client.patch(PIPELINE_RUNS, run.key, {**patch, "metadata": metadata}, subresource)
        except ApiError as error:
            raise to_client_error(error) or error from error
        if changed is None:
            raise not_found("Run", run.id)
        self.index(changed)
        return changed

    async def delete(self, run: StoredRun) -> None:
        """Delete the run, and all that it owns. Raises ServiceError (NOT_FOUND), ApiError."""
        if not await self._client.delete(PIPELINE_RUNS, run.key, uid=run.id):
            raise not_found("Run", run.id)
        row = self._index.row(run.id)
        if row is not None:
            self._index.remove(run.id, row.version)

    def index(self, body: Json) -> None:
        """Put the run into the index, so that the next list has what was read or written here."""
        self._index.apply(self._make_row(body))

    async def manifest(self, body: Json) -> str:
        """Return the manifest that the run was created with, as it was sent; empty where it was deleted."""
        ref = run_manifest_ref(body)
        return await self._manifests.read(ref) if ref else inline_manifest(body)

    async def listed(self, row: RunRow) -> Run:
        """Return the message of a listed run, with its manifest; reads the run where the row does not have all of it.

        Raises ApiError.
        """
        body = await self._client.get(PIPELINE_RUNS, row.key) if row.inline or row.partial else None
        if body is not None and uid_of(body) == row.id:
            manifest = await self.manifest(body)
            return row.completed(run_message(body, manifest)) if row.partial else row.run(manifest)
        return row.run(await self._manifests.read(row.manifest) if row.manifest else "")


async def workflow_json(workflow: Json) -> str:
    """Encode a Workflow as JSON in a thread; nodes that Argo compressed are decompressed."""
    return await asyncio.to_thread(encode_workflow, workflow)


def encode_workflow(workflow: Json) -> str:
    """Encode a Workflow as JSON; nodes that Argo compressed are decompressed.

    Each node is encoded by itself: other threads, such as that of the event loop, run in between.
    """
    status = dict(status_of(workflow))
    if as_text(status.get("compressedNodes")) and (unpacked := workflow_nodes(status)):
        status.pop("compressedNodes")
        status["nodes"] = unpacked
        workflow = {**workflow, "status": status}
    nodes = as_mapping(status.get("nodes"))
    if len(nodes) < FEW_NODES:
        return protobuf_text(json_line(workflow))
    del status["nodes"]
    outer = json_line({**{name: part for name, part in workflow.items() if name != "status"}, "status": status})
    pieces = (f"{json_line(id)}:{json_line(node)}" for id, node in nodes.items())
    # The status is the last member, and `nodes` becomes the last one in it.
    return protobuf_text(f'{outer[:-2]}{"," if status else ""}"nodes":{{{",".join(pieces)}}}}}}}')


def json_line(value: object) -> str:
    """A JSON value as text, without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
