"""The `Leases` port over `kubernetes.aio`."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from kubernetes.aio import client
from typing_extensions import override

from runwright.adapters.requests import read
from runwright.adapters.watching import Watching
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, key_of
from runwright.ports import Leases


class KubernetesLeases(Leases):
    """The API server, for Leases of coordination.k8s.io."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api
        self._coordination = client.CoordinationV1Api(api)

    @override
    async def get(self, key: Key) -> Json | None:
        return await read(self._coordination.read_namespaced_lease_without_preload_content, key.name, key.namespace)

    @override
    async def create(self, body: Json) -> Json:
        method = self._coordination.create_namespaced_lease_without_preload_content
        return there(await read(method, key_of(body).namespace, dict(body)), body)

    @override
    async def replace(self, body: Json) -> Json:
        key = key_of(body)
        method = self._coordination.replace_namespaced_lease_without_preload_content
        return there(await read(method, key.name, key.namespace, dict(body)), body)

    @override
    def events(self, key: Key, since: str) -> AsyncGenerator[tuple[str, Json]]:
        # With its name as a field selector, RBAC lets whoever may watch this one Lease (resourceNames) do it.
        watching = Watching(self._api, "leases", key.namespace, field_selector=f"metadata.name={key.name}")
        return watching.events(since)


def there(reply: Json | None, body: Json) -> Json:
    """The reply. Raises ApiError NotFound where there is none."""
    if reply is None:
        raise ApiError(404, "NotFound", f"Lease {key_of(body)} or its namespace is not there")
    return reply
