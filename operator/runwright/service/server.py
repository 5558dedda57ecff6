"""`runwright serve`: the process of the run service, from its start to its end."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import grpc
from aiohttp import web
from google.protobuf.empty_pb2 import Empty

from runwright import __version__
from runwright.api.resources import PIPELINE_EXPERIMENTS, PIPELINE_RUNS
from runwright.artifacts.reader import AllowedStores, Artifacts
from runwright.kube.client import Client
from runwright.kube.clock import SystemClock
from runwright.kube.http_client import HttpClient
from runwright.kube.login import log_in
from runwright.kube.objects import Key
from runwright.kube.probes import health_endpoint
from runwright.kube.signals import stop_on_signals
from runwright.kube.supervise import LoopGroup, Supervisor, TransientError
from runwright.service.access import KubernetesAccess
from runwright.service.budget import Budget, Limits
from runwright.service.calls import Call, Methods
from runwright.service.contract.healthz_pb2 import GetHealthzResponse
from runwright.service.dispatch import Dispatch
from runwright.service.door import Door
from runwright.service.experiment_rows import ExperimentRow, experiment_row
from runwright.service.experiments import Experiments
from runwright.service.index import Index
from runwright.service.index_feed import IndexFeed
from runwright.service.manifests import Manifests
from runwright.service.measures import ServiceMeasures
from runwright.service.page_key import load_page_key
from runwright.service.paging import MAX_LINE
from runwright.service.rest import rest_application
from runwright.service.rows import RowFactory, RunRow
from runwright.service.rpc import make_grpc_server
from runwright.service.run_lists import RunLists
from runwright.service.run_service import RunOptions, RunService
from runwright.service.runs import Runs
from runwright.service.tenancy import Tenancy

logger = logging.getLogger(__name__)

GRACE_SECONDS = 20.0
"""How long running calls may take to end at shutdown."""

HTTP_OPTIONS: Mapping[str, Any] = {
    "auto_decompress": False,
    "keepalive_timeout": 75.0,
    "lingering_time": 2.0,
    "max_line_size": MAX_LINE,
    "max_field_size": 24 * 1024,
    "max_headers": 64,
}
"""Limits of HTTP connections. A filter is in the request's line, and a token is one field."""

CERTIFICATE_POLL_SECONDS = 30.0
"""How often the certificate's file is checked for changes."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Options of `runwright serve`."""

    namespace: str = ""
    """The namespace of single-user mode; empty for multi-user mode."""
    watch_namespaces: tuple[str, ...] = ()
    """In multi-user mode, the namespaces that are served; none means all."""
    http_address: str = "127.0.0.1:8888"
    grpc_address: str = "127.0.0.1:8887"
    """Empty for no gRPC."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token_audiences: tuple[str, ...] = ()
    anonymous_user: str = ""
    """User of requests without a token; empty to refuse them."""
    page_key_secret: str = ""
    """NAMESPACE/NAME of the Secret with the key of page tokens; empty for a random key of this process."""
    stores: AllowedStores = field(default_factory=AllowedStores)
    """Object stores that ReadArtifact may read."""
    kubeconfig: str | None = None
    context: str | None = None
    probe_address: str = ""
    """HOST:PORT of the probes and the metrics; empty for none."""
    runs: RunOptions = field(default_factory=RunOptions)
    limits: Limits = field(default_factory=Limits)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that are watched; none means all."""
        return (self.namespace,) if self.namespace else self.watch_namespaces


class Service:
    """The parts of the run service, connected."""

    def __init__(self, client: Client, options: ServeOptions, page_key: bytes, measures: ServiceMeasures) -> None:
        self.runs, self.experiments, factory = Index[RunRow](), Index[ExperimentRow](), RowFactory()
        self._feeds = (
            IndexFeed(client, PIPELINE_RUNS, options.namespaces, self.runs, factory.row, measures.object_refused),
            IndexFeed(
                client,
                PIPELINE_EXPERIMENTS,
                options.namespaces,
                self.experiments,
                experiment_row,
                measures.object_refused,
            ),
        )
        self.budget = Budget(options.limits)
        self.access = KubernetesAccess(client, options.token_audiences, options.anonymous_user, budget=self.budget)
        self._manifests = Manifests(client, SystemClock(), options.namespaces)
        tenancy = Tenancy(options.namespace, self.access, self.runs, self.experiments)
        runs = Runs(client, self.runs, factory.row, self._manifests)
        experiments = Experiments(client, self.experiments, self.runs, page_key, tenancy)
        lists = RunLists(self.runs, page_key, runs.listed, tenancy)
        artifacts = Artifacts(client, options.stores)
        service = RunService(client, runs, lists, self._manifests, experiments, tenancy, artifacts, options.runs)
        methods = {**service.methods(), **experiments.methods(), **health_methods(multi_user=not options.namespace)}
        self.dispatch = Dispatch(methods, self.access, self.budget, measures)
        measures.register(self.runs, self.experiments)

    @property
    def synced(self) -> bool:
        """Whether both indexes are in sync: lists are answered only then."""
        return self.runs.synced and self.experiments.synced

    def start(self, loops: LoopGroup) -> None:
        """Keep the indexes up to date and sweep manifests."""
        for feed in self._feeds:
            feed.start(loops)
        self._manifests.start_sweeps(loops, self.manifests_in_use)

    def manifests_in_use(self) -> set[Key] | None:
        """The objects with manifests that runs name; None while not all runs are known."""
        if not self.runs.synced:
            return None
        return {Key(row.manifest.namespace, row.manifest.name) for row in self.runs.rows() if row.manifest}


async def run_serve(options: ServeOptions) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises ConfigError without a usable kubeconfig, ApiError where the Secret of the page key cannot be used,
    ValueError or OSError for an address or a certificate that cannot be used.
    """
    if (options.tls_cert is None) != (options.tls_key is None):
        raise ValueError("--tls-cert and --tls-key: expected both, or none")
    login = await log_in(options.kubeconfig, options.context)
    measures = ServiceMeasures()
    async with HttpClient(login, user_agent=f"runwright-serve/{__version__}", observe=measures.request) as client:
        service = Service(client, options, await load_page_key(client, options.page_key_secret), measures)
        service.access.warn()
        stop, ending = asyncio.Event(), False
        stop_on_signals(stop)
        supervisor = Supervisor(stop)
        measures.registry.register(supervisor)

        def ready() -> bool:
            return service.synced and not ending

        def report() -> dict[str, object]:
            return {"version": __version__, "synced": service.synced, "calls": service.dispatch.running}

        context = make_tls_context(options)
        async with supervisor.group() as loops:
            service.start(loops)
            if context is not None:
                Certificate(context, options).start(loops)
            async with (
                health_endpoint(options.probe_address, supervisor, ready, report, measures.registry),
                serve_rest(service.dispatch, options, context),
                serve_grpc(service.dispatch, options),
            ):
                where = ", ".join(options.namespaces) or "all namespaces"
                logger.info("runwright %s serves the runs in %s of %s", __version__, where, login.server)
                await stop.wait()
                ending = True
        supervisor.check()
        logger.info("stopped")


def health_methods(multi_user: bool) -> Methods:
    """The HealthzService: the check that clients make first."""

    async def get_healthz(request: Empty, call: Call) -> GetHealthzResponse:
        return GetHealthzResponse(multi_user=multi_user)

    return {"HealthzService/GetHealthz": get_healthz}


def split_address(address: str) -> tuple[str, int]:
    """Split HOST:PORT; the host may be empty, or an IPv6 address in brackets. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError(f"address {address!r}: expected HOST:PORT")
    return host.strip("[]"), int(port)


# ------------------------------------------------------------------------------------------------------------------- REST


@asynccontextmanager
async def serve_rest(
    dispatch: Dispatch, options: ServeOptions, context: ssl.SSLContext | None = None
) -> AsyncGenerator[None]:
    """Serve REST within the context."""
    host, port = split_address(options.http_address)
    app = rest_application(dispatch)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE_SECONDS, **HTTP_OPTIONS)
    await runner.setup()
    try:
        door = Door(cast(web.Server, runner.server), dispatch.budget.connections, context)
        async with door.open(host, port):
            yield
    finally:
        await runner.cleanup()


def make_tls_context(options: ServeOptions) -> ssl.SSLContext | None:
    """Load the certificate of the options; None where they name none. Raises OSError, ssl.SSLError."""
    if options.tls_cert is None or options.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(options.tls_cert, options.tls_key)
    return context


class Certificate:
    """The certificate of the options, in the context that connections are made with."""

    def __init__(self, context: ssl.SSLContext, options: ServeOptions) -> None:
        """Raises OSError."""
        self._context = context
        self._certificate, self._key = cast(Path, options.tls_cert), cast(Path, options.tls_key)
        self._seen = self._certificate.read_bytes()

    def start(self, loops: LoopGroup) -> None:
        """Reload the certificate whenever its file changed; new connections use it."""
        loops.start(
            "certificate",
            self._reload,
            after=CERTIFICATE_POLL_SECONDS,
            limit=CERTIFICATE_POLL_SECONDS,
            essential=False,
        )

    async def _reload(self) -> float:
        now = await asyncio.to_thread(self._certificate.read_bytes)
        if now != self._seen:
            try:
                self._context.load_cert_chain(self._certificate, self._key)
            except ssl.SSLError as error:
                raise TransientError(f"the certificate {self._certificate} cannot be loaded: {error}") from error
            self._seen = now
            logger.info("reloaded the certificate")
        return CERTIFICATE_POLL_SECONDS


# ------------------------------------------------------------------------------------------------------------------- gRPC


@asynccontextmanager
async def serve_grpc(dispatch: Dispatch, options: ServeOptions) -> AsyncGenerator[None]:
    """Serve gRPC within the context, if it has an address. Raises RuntimeError where the address cannot be bound."""
    if not options.grpc_address:
        yield
        return
    split_address(options.grpc_address)
    server = make_grpc_server(dispatch)
    if options.tls_cert and options.tls_key:
        server.add_secure_port(options.grpc_address, grpc_credentials(options.tls_cert, options.tls_key))
    else:
        server.add_insecure_port(options.grpc_address)
    await server.start()
    try:
        yield
    finally:
        await server.stop(GRACE_SECONDS)


def grpc_credentials(certificate: Path, key: Path) -> grpc.ServerCredentials:
    """Credentials that are read again whenever the files changed."""
    last: Mapping[str, bytes] = {}

    def read() -> Any:
        nonlocal last
        now = {"key": key.read_bytes(), "certificate": certificate.read_bytes()}
        if now == last:
            return None
        last = now
        return grpc.ssl_server_certificate_configuration([(now["key"], now["certificate"])])

    return grpc.dynamic_ssl_server_credentials(read(), read, require_client_authentication=False)
