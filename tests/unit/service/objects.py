"""The objects of the run service in memory, with versions, conflicts and refusals as the API server has them."""

from __future__ import annotations

import copy
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

from runwright.core.workflow.build import ObjectRef
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, key_of
from runwright.kube.resource import Resource
from tests.unit.fake.apiserver import merged, selects


class Objects:
    """Both ports that the service needs: OwnObjects, and the reads of Cluster."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, Key], dict[str, Any]] = {}
        self.versions = itertools.count(100)
        self.calls: list[str] = []
        self.before: Callable[[str], None] = lambda call: None
        """Called before each write with its name: may change things, or raise ApiError."""

    # ---------------------------------------------------------------------------------------------------- own objects
    async def get(self, plural: str | Resource, key: Key) -> Json | None:
        plural = plural.plural if isinstance(plural, Resource) else plural
        return copy.deepcopy(self.held.get((plural, key)))

    async def create(self, plural: str, body: Json) -> Json:
        self._write(f"create {plural}")
        key = key_of(body)
        if (plural, key) in self.held:
            raise ApiError(409, "AlreadyExists", f"{plural} {key.name} already exists")
        version = str(next(self.versions))
        made = copy.deepcopy(dict(body))
        made["metadata"] |= {
            "uid": f"uid-{version}",
            "resourceVersion": version,
            "creationTimestamp": "2026-11-26T10:00:00Z",
        }
        self.held[plural, key] = made
        return copy.deepcopy(made)

    async def patch(self, plural: str, key: Key, patch: Json, subresource: str = "") -> Json | None:
        self._write(f"patch {plural}" + (f"/{subresource}" if subresource else ""))
        there = self.held.get((plural, key))
        if there is None:
            return None
        for field in ("uid", "resourceVersion"):
            wanted = patch.get("metadata", {}).get(field)
            if wanted not in (None, there["metadata"][field]):
                raise ApiError(409, "Conflict", f"{field} is another one")
        changed = merged(there, {key: value for key, value in patch.items()})
        changed["metadata"]["resourceVersion"] = str(next(self.versions))
        self.held[plural, key] = changed
        return copy.deepcopy(changed)

    async def delete(self, plural: str, key: Key, uid: str) -> bool:
        self._write(f"delete {plural}")
        there = self.held.get((plural, key))
        if there is None:
            return False
        if there["metadata"]["uid"] != uid:
            raise ApiError(409, "Conflict", "another one")
        del self.held[plural, key]
        return True

    async def any_run(self, namespace: str, selector: str) -> bool:
        return any(
            plural == "pipelineruns"
            and key.namespace == namespace
            and selects(selector, body["metadata"].get("labels") or {})
            for (plural, key), body in self.held.items()
        )

    async def get_config_map(self, key: Key) -> Json | None:
        return await self.get("configmaps", key)

    async def create_config_map(self, body: Json) -> Json:
        return await self.create("configmaps", body)

    async def patch_config_map(self, key: Key, patch: Json) -> Json | None:
        return await self.patch("configmaps", key, patch)

    async def delete_config_map(self, key: Key, uid: str, version: str) -> None:
        self._write("delete configmaps")
        there = self.held.get(("configmaps", key))
        if there is None:
            return
        if (there["metadata"]["uid"], there["metadata"]["resourceVersion"]) != (uid, version):
            raise ApiError(409, "Conflict", "changed")
        del self.held["configmaps", key]

    async def list_config_maps(self, selector: str) -> AsyncIterator[Json]:
        for (plural, _), body in list(self.held.items()):
            if plural == "configmaps" and selects(selector, body["metadata"].get("labels") or {}):
                yield {"metadata": copy.deepcopy(body["metadata"])}

    # --------------------------------------------------------------------------------------------------------- cluster
    async def get_run(self, key: Key) -> Json | None:
        return await self.get("pipelineruns", key)

    async def get_workflow(self, key: Key) -> Json | None:
        return await self.get("workflows", key)

    async def get_snapshot(self, key: Key) -> Json | None:
        return await self.get("workflowsnapshots", key)

    async def get_object(self, ref: ObjectRef) -> Json | None:
        return await self.get(f"{ref.kind.lower()}s", Key(ref.namespace, ref.name))

    async def get_secret(self, namespace: str, name: str) -> Json | None:
        return await self.get("secrets", Key(namespace, name))

    # ----------------------------------------------------------------------------------------------------------- tests
    def put(self, plural: str, body: dict[str, Any]) -> None:
        """An object that somebody else has made."""
        self.held[plural, key_of(body)] = copy.deepcopy(body)

    def all(self, plural: str) -> list[dict[str, Any]]:
        return [body for (kind, _), body in self.held.items() if kind == plural]

    def _write(self, call: str) -> None:
        self.calls.append(call)
        self.before(call)
