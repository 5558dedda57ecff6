"""Objects of our kinds as etcd holds them, for whoever moves them: names by pages, one object written as it is, the CRDs."""

from __future__ import annotations

from collections.abc import AsyncIterator

from kubernetes.aio import client

from runwright.adapters.kubernetes_api import MERGE_PATCH
from runwright.adapters.requests import call, found, list_metadata, read
from runwright.api.resources import GROUP
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, key_of, version_of


class StoredObjects:
    """The API server, for all objects of a kind in all namespaces. Each call raises ApiError."""

    def __init__(self, api: client.ApiClient) -> None:
        self._custom = client.CustomObjectsApi(api)
        self._extensions = client.ApiextensionsV1Api(api)

    async def crd(self, plural: str) -> Json:
        """The CRD of a kind. Raises ApiError NotFound where it is not installed."""
        name = f"{plural}.{GROUP}"
        body = await read(self._extensions.read_custom_resource_definition_without_preload_content, name)
        if body is None:
            raise ApiError(404, "NotFound", f"the CRD {name} is not installed")
        return body

    async def names(self, plural: str, version: str) -> AsyncIterator[Key]:
        """All objects of the kind, by metadata-only pages."""
        pages = self._custom.list_cluster_custom_object_without_preload_content
        async for item in list_metadata(pages, GROUP, version, plural):
            yield key_of(item)

    async def write_again(self, plural: str, version: str, key: Key) -> bool:
        """Have the object written as it is; false where it is gone.

        An empty patch changes nothing, and nothing is written, unless etcd holds another version than it is to hold: so
        the API server itself (Kubernetes 1.34) compares what would be written with what is there.
        """
        patch = self._custom.patch_namespaced_custom_object
        reply = await found(patch, GROUP, version, key.namespace, plural, key.name, {}, _content_type=MERGE_PATCH)
        return reply is not None

    async def set_stored_versions(self, plural: str, crd: Json, version: str) -> None:
        """Say that objects of this version only are stored, if the CRD is still as it was read (else Conflict)."""
        metadata = {"resourceVersion": version_of(crd)}
        await call(
            self._extensions.patch_custom_resource_definition_status,
            f"{plural}.{GROUP}",
            {"metadata": metadata, "status": {"storedVersions": [version]}},
            _content_type=MERGE_PATCH,
        )
