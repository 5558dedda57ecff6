"""How the operator comes to its cluster: a kubeconfig, or the service account of its own pod."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from kubernetes.aio import client
from kubernetes.aio import config as kubernetes_config

# The client's configuration module carries no types.
config = cast(Any, kubernetes_config)

CONNECTIONS = 64
"""Connections that the client may hold at once: more would only queue at the API server."""

RENEWAL_SECONDS = 60.0
"""How old the credentials of a kubeconfig may be; what plugins give lasts for ten minutes or more."""

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


async def configure(kubeconfig: str | None, context: str | None) -> client.Configuration:
    """Address and credentials of the cluster.

    Order: the kubeconfig that is named; the pod's service account, inside a cluster; `KUBECONFIG` or ~/.kube/config.
    Raises kubernetes' ConfigException where none of them can be used.
    """
    configuration = client.Configuration()
    if kubeconfig is None and context is None and in_cluster():
        config.load_incluster_config(client_configuration=configuration)
    else:
        loader = await config.load_kube_config(
            config_file=kubeconfig, context=context, client_configuration=configuration
        )
        cast(Any, configuration).refresh_api_key_hook = renewal(loader)
    configuration.connection_pool_maxsize = CONNECTIONS
    return configuration


def renewal(loader: Any) -> Callable[[client.Configuration], Awaitable[None]]:
    """What the client calls before each request: has the credentials of a kubeconfig read, or made, anew.

    Those of an exec plugin (EKS, GKE, AKS) end after minutes. In a pod, the client itself reads the token's file anew.
    """
    renewed_at = time.monotonic()

    async def renew(configuration: client.Configuration) -> None:
        nonlocal renewed_at
        if time.monotonic() - renewed_at >= RENEWAL_SECONDS:
            # Set before it is done: requests at the same time go on with what there is.
            renewed_at = time.monotonic()
            await loader.load_and_set(configuration)

    return renew


async def bearer_token(configuration: client.Configuration) -> str:
    """The token that requests carry now, without its scheme; empty where they carry a certificate."""
    value = await cast(Any, configuration).get_api_key_with_prefix("BearerToken") or ""
    return str(value).rpartition(" ")[2]


def default_namespace(kubeconfig: str | None, context: str | None) -> str:
    """The namespace that a command works in which names none: that of the context, or of the pod; else `default`.

    Raises kubernetes' ConfigException where there is no kubeconfig or no such context.
    """
    if kubeconfig is None and context is None and in_cluster():
        return SERVICE_ACCOUNT.with_name("namespace").read_text().strip() or "default"
    contexts, current = config.list_kube_config_contexts(kubeconfig)
    chosen = next((one for one in contexts if one["name"] == context), None) if context else current
    if chosen is None:
        raise config.ConfigException(f"there is no context {context!r} in the kubeconfig")
    return str(chosen["context"].get("namespace") or "default")


def in_cluster() -> bool:
    """Whether this process runs in a pod with a service account."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and SERVICE_ACCOUNT.is_file()
