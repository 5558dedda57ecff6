"""How the operator comes to its cluster: a kubeconfig, or the service account of its own pod."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from kubernetes.aio import client
from kubernetes.aio import config as kubernetes_config

# The client's configuration module carries no types.
config = cast(Any, kubernetes_config)

CONNECTIONS = 64
"""Connections that the client may hold at once: more would only queue at the API server."""

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
        await config.load_kube_config(config_file=kubeconfig, context=context, client_configuration=configuration)
    configuration.connection_pool_maxsize = CONNECTIONS
    return configuration


def in_cluster() -> bool:
    """Whether this process runs in a pod with a service account."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and SERVICE_ACCOUNT.is_file()
