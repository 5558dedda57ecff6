"""Objects of Kubernetes' own group `v1`, as JSON.

`CoreV1Api` of the client (37.0) does the same with 276 models, which take 24 MiB and half a second of the start; we read fields.
"""

from __future__ import annotations

from typing import Any, cast

from kubernetes.aio import client

from runwright.kube.objects import Json


class CoreObjects:
    """Each method makes one request and gives its response unread, as `…_without_preload_content` does."""

    def __init__(self, api: client.ApiClient) -> None:
        # What is used of it has no types.
        self._api = cast(Any, api)

    async def get(self, plural: str, namespace: str, name: str, **options: Any) -> Any:
        """One object."""
        return await self._request("GET", (plural, namespace, name), None, options)

    async def list(self, plural: str, namespace: str = "", **options: Any) -> Any:
        """Those of a namespace, or all; or a watch of them."""
        return await self._request("GET", (plural, namespace), None, options)

    async def create(self, plural: str, namespace: str, body: Json, **options: Any) -> Any:
        """Make one."""
        return await self._request("POST", (plural, namespace), body, options)

    async def patch(self, plural: str, namespace: str, name: str, body: Json, **options: Any) -> Any:
        """Merge it into one."""
        return await self._request("PATCH", (plural, namespace, name), body, options)

    async def delete(self, plural: str, namespace: str, name: str, **options: Any) -> Any:
        """Delete one, under the conditions of `body`."""
        body = options.pop("body", None)
        return await self._request("DELETE", (plural, namespace, name), body, options)

    async def log(self, namespace: str, pod: str, **options: Any) -> Any:
        """What a container of a pod has written."""
        return await self._request("GET", ("pods", namespace, pod, "log"), None, options)

    async def _request(self, method: str, place: tuple[str, ...], body: object, options: dict[str, Any]) -> Any:
        plural, namespace, *rest = place
        parts = ["namespaces", "{namespace}", plural] if namespace else [plural]
        path = "/".join(["/api/v1", *parts, *(["{name}"] if rest else []), *rest[1:]])
        timeout, headers = options.pop("_request_timeout", None), dict(options.pop("_headers", None) or {})
        headers.setdefault("Accept", "application/json")
        if body is not None:
            headers["Content-Type"] = options.pop("_content_type", "application/json")
        query = [(camel(name), value) for name, value in options.items() if value is not None]
        request = await self._api.param_serialize(
            method=method,
            resource_path=path,
            path_params={"namespace": namespace, "name": rest[0] if rest else ""},
            query_params=[(name, str(value).lower() if isinstance(value, bool) else value) for name, value in query],
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        reply = await self._api.call_api(*request, _request_timeout=timeout, _preload_content=False)
        return reply.response


def camel(name: str) -> str:
    """What the API server calls an option that the client's own methods call so."""
    first, *more = name.strip("_").split("_")
    return first + "".join(word.capitalize() for word in more)
