"""TokenReview and SubjectAccessReview, and the Secret of the page tokens: what the run service asks Kubernetes about rights."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, cast

from kubernetes.aio import client

from runwright.adapters.core_objects import CoreObjects
from runwright.adapters.kubernetes_api import COMPONENT
from runwright.adapters.requests import read
from runwright.kube.errors import ApiError
from runwright.kube.objects import Json, Key, as_mapping, status_of


class Reviews:
    """Asks the API server who somebody is, and what they may do."""

    def __init__(self, api: client.ApiClient) -> None:
        self._tokens = client.AuthenticationV1Api(api)
        self._access = client.AuthorizationV1Api(api)

    async def token(self, token: str, audiences: Sequence[str]) -> Json:
        """The status of a TokenReview: `authenticated`, `user`, `error`. Raises ApiError."""
        spec: dict[str, Any] = {"token": token} | ({"audiences": [*audiences]} if audiences else {})
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        reply = await read(cast(Any, self._tokens).create_token_review_without_preload_content, body)
        return status_of(reply or {})

    async def access(self, spec: Mapping[str, Any]) -> bool:
        """Whether a SubjectAccessReview of this spec is allowed. Raises ApiError."""
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": dict(spec)}
        reply = await read(cast(Any, self._access).create_subject_access_review_without_preload_content, body)
        return status_of(reply or {}).get("allowed") is True


class SharedKey:
    """A random key that all replicas share, in a Secret that the first of them makes."""

    def __init__(self, api: client.ApiClient, secret: Key) -> None:
        self._core = CoreObjects(api)
        self._secret = secret

    async def get_or_create(self, new: bytes) -> bytes:
        """The key in the Secret; `new`, where there was none. Raises ApiError."""
        name, namespace = self._secret.name, self._secret.namespace
        found = await read(self._core.get, "secrets", namespace, name)
        if found is None:
            body = {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": namespace},
                "data": {"key": base64.b64encode(new).decode()},
            }
            try:
                found = await read(self._core.create, "secrets", namespace, body, field_manager=COMPONENT)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
                found = await read(self._core.get, "secrets", namespace, name)
        held = as_mapping((found or {}).get("data")).get("key")
        key = base64.b64decode(held) if isinstance(held, str) else b""
        if len(key) < len(new):
            raise ApiError(
                0, "Invalid", f"Secret {self._secret}: expected {len(new)} random bytes under `key`; delete it"
            )
        return key
