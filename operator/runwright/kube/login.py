"""Where the cluster is, and with which credentials: a kubeconfig, or the service account of the process's own pod.

Contexts with fixed credentials are read here: a command of a shell ends before `kubernetes.aio` is imported (0.3 s of CPU).
Everything that can expire (plugins, OIDC, a pod's token) is left to `kubernetes.aio`.
"""

from __future__ import annotations

import os
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runwright.kube.kubeconfig import ConfigError, Context, read_context

if TYPE_CHECKING:
    from kubernetes.aio.client import Configuration

RENEWAL_SECONDS = 60.0
"""How old the credentials of a kubeconfig may be; those of plugins last for ten minutes or more."""

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


async def no_token() -> str:
    """Authenticate by certificate, or not at all."""
    return ""


@dataclass(frozen=True, slots=True)
class Login:
    """Address and credentials of an API server."""

    server: str
    """URL, such as https://10.0.0.1:6443."""
    namespace: str = "default"
    """Namespace of commands that name none."""
    ca_file: str = ""
    ca_data: str = ""
    """PEM; without `ca_file` and `ca_data`, the system's authorities are trusted."""
    insecure: bool = False
    """Whether any certificate is accepted."""
    server_name: str = ""
    """Name in the certificate, where it is not that of the URL."""
    certificate_file: str = ""
    key_file: str = ""
    certificate_data: str = ""
    """PEM."""
    key_data: str = field(default="", repr=False)
    """PEM."""
    proxy: str = ""
    token: Callable[[], Awaitable[str]] = field(default=no_token, repr=False)
    """Returns the bearer token of the next request; empty for none."""

    def ssl_context(self) -> ssl.SSLContext:
        """Make the TLS context. Raises OSError, ssl.SSLError."""
        context = ssl.create_default_context(cafile=self.ca_file or None, cadata=self.ca_data or None)
        with ExitStack() as files:
            certificate = self.certificate_file or write_secret_file(files, self.certificate_data)
            if certificate:
                context.load_cert_chain(certificate, self.key_file or write_secret_file(files, self.key_data) or None)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def write_secret_file(files: ExitStack, text: str) -> str:
    """Write a secret to a temporary file, since `ssl` reads certificates only from files; empty for an empty text."""
    if not text:
        return ""
    folder = Path(files.enter_context(tempfile.TemporaryDirectory()))
    path = folder / "pem"
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


async def log_in(kubeconfig: str | None = None, context: str | None = None) -> Login:
    """Find the cluster.

    Order: the named kubeconfig or context; inside a cluster, the pod's service account; `KUBECONFIG` or ~/.kube/config.
    Raises ConfigError where none of them can be used.
    """
    if kubeconfig is None and context is None and in_cluster():
        return await pod_login()
    chosen = read_context(kubeconfig, context)
    return fixed_login(chosen) if chosen.fixed else await renewed_login(chosen, kubeconfig, context)


def fixed_login(chosen: Context) -> Login:
    """Log in with credentials that stand in the kubeconfig."""

    async def token() -> str:
        return chosen.token

    return Login(
        server=chosen.server,
        namespace=chosen.namespace,
        ca_file=chosen.ca_file,
        ca_data=chosen.ca_data,
        insecure=chosen.insecure,
        server_name=chosen.server_name,
        certificate_file=chosen.certificate_file,
        key_file=chosen.key_file,
        certificate_data=chosen.certificate_data,
        key_data=chosen.key_data,
        proxy=chosen.proxy,
        token=token if chosen.token else no_token,
    )


async def renewed_login(chosen: Context, kubeconfig: str | None, context: str | None) -> Login:
    """Log in with credentials that a plugin or an identity provider makes, and makes again before they expire."""
    from kubernetes.aio.client import Configuration
    from kubernetes.aio.config import ConfigException
    from kubernetes.aio.config import kube_config as library

    configuration = Configuration()
    try:
        loader: Any = await cast(Any, library).load_kube_config(
            config_file=kubeconfig, context=context, client_configuration=configuration
        )
    except ConfigException as error:
        raise ConfigError(str(error)) from error
    renewed_at = time.monotonic()

    async def token() -> str:
        nonlocal renewed_at
        if time.monotonic() - renewed_at >= RENEWAL_SECONDS:
            # Set first: requests at the same time go on with the present credentials.
            renewed_at = time.monotonic()
            await loader.load_and_set(configuration)
        return await bearer_token(configuration)

    return library_login(configuration, chosen.namespace, token)


async def pod_login() -> Login:
    """Log in as the service account of the process's own pod; the kubelet renews the token's file."""
    from kubernetes.aio.client import Configuration
    from kubernetes.aio.config import ConfigException
    from kubernetes.aio.config import incluster_config as library

    configuration = Configuration()
    try:
        cast(Any, library).load_incluster_config(client_configuration=configuration)
    except ConfigException as error:
        raise ConfigError(str(error)) from error
    namespace = SERVICE_ACCOUNT.with_name("namespace").read_text().strip() or "default"

    async def token() -> str:
        return await bearer_token(configuration)

    return library_login(configuration, namespace, token)


def library_login(configuration: Configuration, namespace: str, token: Callable[[], Awaitable[str]]) -> Login:
    """Take address and certificates from the library's configuration."""
    found = cast(Any, configuration)
    return Login(
        server=found.host,
        namespace=namespace,
        ca_file=found.ssl_ca_cert or "",
        ca_data=found.ca_cert_data or "",
        insecure=not found.verify_ssl,
        server_name=found.tls_server_name or "",
        certificate_file=found.cert_file or "",
        key_file=found.key_file or "",
        proxy=found.proxy or "",
        token=token,
    )


async def bearer_token(configuration: Configuration) -> str:
    """The library's token without its scheme; empty where it uses a certificate."""
    value = await cast(Any, configuration).get_api_key_with_prefix("BearerToken") or ""
    return str(value).rpartition(" ")[2]


def in_cluster() -> bool:
    """Whether this process runs in a pod with a service account."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and SERVICE_ACCOUNT.is_file()
