"""`runwright serve`: the process of the run service, what runs in it, in which order it starts, and when it ends."""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import grpc
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from google.protobuf.empty_pb2 import Empty
from kubernetes.aio import client

from runwright import __version__
from runwright.adapters.kubernetes_api import KubernetesCluster
from runwright.adapters.login import configure
from runwright.adapters.own_objects import KubernetesObjects
from runwright.adapters.reviews import Reviews, SharedKey
from runwright.adapters.traffic import observe_requests
from runwright.adapters.watching import Watching
from runwright.api.pipelineexperiment import PLURAL as EXPERIMENTS
from runwright.api.pipelinerun import PLURAL as RUNS
from runwright.artifacts.reader import Artifacts
from runwright.kube.clock import SystemClock
from runwright.kube.objects import Key
from runwright.kube.probes import health_endpoint
from runwright.kube.signals import stop_on_signals
from runwright.service.access import KubernetesAccess
from runwright.service.calls import Call, Methods
from runwright.service.contract.healthz_pb2 import GetHealthzResponse
from runwright.service.dispatch import Dispatch, Limits
from runwright.service.experiment_rows import ExperimentRow, experiment_row
from runwright.service.experiments import Experiments
from runwright.service.index import Index
from runwright.service.manifests import Manifests
from runwright.service.measures import ServiceMeasures
from runwright.service.rest import rest_application
from runwright.service.rows import ALL, RowFactory, RunRow
from runwright.service.rpc import make_grpc_server
from runwright.service.run_lists import RunLists
from runwright.service.run_service import RunOptions, RunService
from runwright.service.runs import Runs
from runwright.service.tenancy import Tenancy
from runwright.service.watching import Reflector

logger = logging.getLogger(__name__)

KEY_BYTES = 32
END_SECONDS = 20.0
"""How long calls under way may take to end."""

TLS_SECONDS = 30.0
"""How often the certificate's file is looked at."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What an admin can choose."""

    namespace: str = ""
    """The one of single-user mode; empty for multi-user mode."""
    watch_namespaces: tuple[str, ...] = ()
    """In multi-user mode, the namespaces that are served; none means all."""
    http_address: str = "127.0.0.1:8888"
    grpc_address: str = "127.0.0.1:8887"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token_audiences: tuple[str, ...] = ()
    anonymous_user: str = ""
    page_key_secret: str = ""
    """NAMESPACE/NAME of the Secret with the key of page tokens; empty for a key of this process alone."""
    artifact_buckets: tuple[str, ...] = ()
    kubeconfig: str | None = None
    context: str | None = None
    probe_address: str = ""
    runs: RunOptions = field(default_factory=RunOptions)
    limits: Limits = field(default_factory=Limits)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that are watched; none means all."""
        return (self.namespace,) if self.namespace else self.watch_namespaces


class Service:
    """The parts of the run service, joined."""

    def __init__(
        self, api: client.ApiClient, options: ServeOptions, page_key: bytes, measures: ServiceMeasures
    ) -> None:
        cluster, objects = KubernetesCluster(api, options.namespaces), KubernetesObjects(api, options.namespaces)
        self.runs, self.experiments, shared = Index[RunRow](), Index[ExperimentRow](), RowFactory()
        self.access = KubernetesAccess(Reviews(api), options.token_audiences, options.anonymous_user)
        self.manifests = Manifests(objects, SystemClock())
        self.run_reflectors = [
            Reflector(Watching(api, RUNS, name), index_scope(name), self.runs, shared.row, RUNS)
            for name in options.namespaces or ("",)
        ]
        self.experiment_reflectors = [
            Reflector(
                Watching(api, EXPERIMENTS, name), index_scope(name), self.experiments, experiment_row, EXPERIMENTS
            )
            for name in options.namespaces or ("",)
        ]
        tenancy = Tenancy(options.namespace, self.access, self.experiments)
        runs = Runs(objects, self.runs, shared.row, self.manifests)
        experiments = Experiments(objects, self.experiments, self.runs, page_key, tenancy)
        lists = RunLists(self.runs, page_key, runs.manifest_of_row, tenancy)
        artifacts = Artifacts(cluster, options.artifact_buckets)
        service = RunService(cluster, runs, lists, self.manifests, experiments, tenancy, artifacts, options.runs)
        methods = {**service.methods(), **experiments.methods(), **health_methods(multi_user=not options.namespace)}
        self.dispatch = Dispatch(methods, self.access, options.limits, measures)
        measures.watch_over(self.runs, self.experiments)

    @property
    def synced(self) -> bool:
        """Whether lists are answered."""
        return self.runs.synced and self.experiments.synced

    def told(self) -> None:
        """A reflector has come into step, or fallen out of it."""
        self.runs.synced = all(one.synced for one in self.run_reflectors)
        self.experiments.synced = all(one.synced for one in self.experiment_reflectors)

    def manifests_in_use(self) -> set[Key] | None:
        """The ConfigMaps that runs name; None while not all runs are known."""
        if not self.runs.synced:
            return None
        return {Key(row.manifest.namespace, row.manifest.name) for row in self.runs.rows() if row.manifest}


async def run_serve(options: ServeOptions) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises kubernetes' ConfigException where there is no way to a cluster, ApiError where the Secret of the page tokens can
    neither be read nor made, ValueError or OSError for an address or a certificate that cannot be used.
    """
    if (options.tls_cert is None) != (options.tls_key is None):
        raise ValueError("--tls-cert and --tls-key: expected both, or none")
    configuration = await configure(options.kubeconfig, options.context)
    measures = ServiceMeasures()
    observe_requests(configuration, measures.request)
    async with client.ApiClient(configuration) as api:
        api.user_agent = f"runwright-serve/{__version__}"
        service = Service(api, options, await page_key(api, options.page_key_secret), measures)
        service.access.warn()
        stop, ending = asyncio.Event(), False
        stop_on_signals(stop)
        background = [
            asyncio.create_task(one.forever(service.told), name="reflector")
            for one in (*service.run_reflectors, *service.experiment_reflectors)
        ]
        background.append(asyncio.create_task(service.manifests.sweep_forever(service.manifests_in_use), name="sweep"))

        def ready() -> bool:
            return service.synced and not ending

        def report() -> dict[str, object]:
            return {"version": __version__, "synced": service.synced, "calls": service.dispatch.under_way}

        try:
            async with (
                health_endpoint(options.probe_address, ready, report, measures.registry),
                serve_rest(service.dispatch, options),
                serve_grpc(service.dispatch, options),
            ):
                where = ", ".join(options.namespaces) or "all namespaces"
                logger.info("runwright %s serves the runs in %s of %s", __version__, where, configuration.host)
                await run_until_stopped(stop, background)
                ending = True
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
        logger.info("stopped")


async def run_until_stopped(stop: asyncio.Event, background: list[asyncio.Task[Any]]) -> None:
    """Return when it is to stop. Raises what a task in the background has ended with: none of them ends by itself."""
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopped, *background], return_when=asyncio.FIRST_COMPLETED)
    for task in done - {stopped}:
        task.result()


async def page_key(api: client.ApiClient, secret: str) -> bytes:
    """The key of page tokens. Raises ApiError, ValueError."""
    new = secrets.token_bytes(KEY_BYTES)
    if not secret:
        return new
    namespace, _, name = secret.partition("/")
    if not namespace or not name:
        raise ValueError(f"--page-key-secret {secret!r}: expected NAMESPACE/NAME")
    return await SharedKey(api, Key(namespace, name)).get_or_create(new)


def health_methods(multi_user: bool) -> Methods:
    """The health check that clients make first."""

    async def get_healthz(request: Empty, call: Call) -> GetHealthzResponse:
        return GetHealthzResponse(multi_user=multi_user)

    return {"HealthzService/GetHealthz": get_healthz}


def index_scope(namespace: str) -> tuple[str, str]:
    """What a reflector of this namespace lists."""
    return ("NAMESPACE", namespace) if namespace else ALL


def split_address(address: str) -> tuple[str, int]:
    """The parts of an address. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError(f"address {address!r}: expected HOST:PORT")
    return host.strip("[]"), int(port)


@asynccontextmanager
async def serve_rest(dispatch: Dispatch, options: ServeOptions) -> AsyncGenerator[None]:
    """Within it, REST is served."""
    host, port = split_address(options.http_address)
    context = make_tls_context(options)
    logging.getLogger("aiohttp.server").addFilter(drop_bad_requests)
    runner = web.AppRunner(rest_application(dispatch, options.limits), access_log=None, shutdown_timeout=END_SECONDS)
    await runner.setup()
    renewal = asyncio.create_task(reload_certificate(context, options)) if context else None
    try:
        await web.TCPSite(runner, host or None, port, ssl_context=context).start()
        yield
    finally:
        if renewal:
            renewal.cancel()
        await runner.cleanup()


def drop_bad_requests(record: logging.LogRecord) -> bool:
    """Not that somebody sends what is no HTTP: he is told, and could fill the log with it."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


def make_tls_context(options: ServeOptions) -> ssl.SSLContext | None:
    """TLS with the certificate that is named. Raises OSError, ssl.SSLError."""
    if options.tls_cert is None or options.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(options.tls_cert, options.tls_key)
    return context


async def reload_certificate(context: ssl.SSLContext, options: ServeOptions) -> None:
    """Load the certificate anew when its file has changed: new connections have it."""
    certificate, key = cast(Path, options.tls_cert), cast(Path, options.tls_key)
    seen = certificate.read_bytes()
    while True:
        await asyncio.sleep(TLS_SECONDS)
        try:
            now = await asyncio.to_thread(certificate.read_bytes)
            if now != seen:
                context.load_cert_chain(certificate, key)
                seen = now
                logger.info("the certificate was renewed")
        except (OSError, ssl.SSLError) as error:
            logger.warning("the certificate cannot be read anew: %s", error)


@asynccontextmanager
async def serve_grpc(dispatch: Dispatch, options: ServeOptions) -> AsyncGenerator[None]:
    """Within it, gRPC is served, where it has an address. Raises RuntimeError where that cannot be bound."""
    if not options.grpc_address:
        yield
        return
    split_address(options.grpc_address)
    made = make_grpc_server(dispatch, options.limits)
    if options.tls_cert and options.tls_key:
        made.add_secure_port(options.grpc_address, grpc_credentials(options.tls_cert, options.tls_key))
    else:
        made.add_insecure_port(options.grpc_address)
    await made.start()
    try:
        yield
    finally:
        await made.stop(END_SECONDS)


def grpc_credentials(certificate: Path, key: Path) -> grpc.ServerCredentials:
    """Credentials that are read from the files whenever those have changed."""
    last: Mapping[str, bytes] = {}

    def read() -> Any:
        nonlocal last
        now = {"key": key.read_bytes(), "certificate": certificate.read_bytes()}
        if now == last:
            return None
        last = now
        return grpc.ssl_server_certificate_configuration([(now["key"], now["certificate"])])

    return grpc.dynamic_ssl_server_credentials(read(), read, require_client_authentication=False)
