"""The operator's process: what runs in it, in which order it starts, and when it ends."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

import kopf
from kubernetes.aio import client

from runwright import __version__
from runwright.adapters.kubernetes_api import KubernetesCluster
from runwright.adapters.login import bearer_token, configure
from runwright.adapters.traffic import observe_requests
from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.core.records import Key
from runwright.core.series import DEFAULT_LABELS, chosen_labels
from runwright.core.workflow import BuildOptions
from runwright.handlers import watch_registry
from runwright.ports import ApiError
from runwright.runtime.artifacts import Artifacts
from runwright.runtime.clock import SystemClock
from runwright.runtime.health import health_endpoint
from runwright.runtime.intake import Intake
from runwright.runtime.measures import Measures
from runwright.runtime.policies import Policies
from runwright.runtime.queue import WorkQueue
from runwright.runtime.reconciler import Reconciler
from runwright.runtime.resync import RESYNC_SECONDS, Resync
from runwright.runtime.series import RunSeries
from runwright.runtime.store import Store
from runwright.runtime.sweep import Sweep
from runwright.runtime.workers import WORKERS, work
from runwright.watches import Watches, stop_on_signals

logger = logging.getLogger(__name__)


START_SECONDS = 10.0
"""How long the API server may be away when the operator starts."""

START_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class OperatorOptions:
    """What an admin can choose."""

    namespaces: tuple[str, ...] = ()
    """Namespaces to look after; none means all."""
    kubeconfig: str | None = None
    context: str | None = None
    default_service_account: str = ""
    default_retention: RetentionPolicySpec = field(default_factory=RetentionPolicySpec)
    """What holds where neither a run nor its namespace's policy says anything."""
    artifact_buckets: tuple[str, ...] = ()
    """Buckets, as HOST/BUCKET, that may be read with the operator's own identity: for the metrics in them."""
    run_metrics_limit: int = 0
    """Series that Prometheus is told of the metrics of runs at most; 0 for none."""
    run_metrics_labels: tuple[str, ...] = DEFAULT_LABELS
    workers: int = WORKERS
    resync_seconds: float = RESYNC_SECONDS
    probe_address: str = ""
    """HOST:PORT of the probes and the metrics; empty for none."""


async def run_operator(options: OperatorOptions) -> None:
    """Run until SIGTERM or SIGINT.

    Raises kubernetes' ConfigException where there is no way to a cluster, ApiError where its API server does not answer
    at the start, and ValueError or OSError for a probe address that cannot be used, or labels that there are not. An API server that goes away later
    is waited for.
    """
    series = RunSeries(chosen_labels(options.run_metrics_labels), options.run_metrics_limit)
    configuration = await configure(options.kubeconfig, options.context)
    measures = Measures()
    measures.registry.register(series)
    observe_requests(configuration, measures.request)
    async with client.ApiClient(configuration) as api:
        api.user_agent = f"runwright/{__version__}"
        cluster = KubernetesCluster(api, options.namespaces)
        await first_answer(cluster, configuration.host)
        store, queue, clock = Store(), WorkQueue[Key](), SystemClock()
        sweep = Sweep(cluster, store, queue, clock)
        policies = Policies(cluster, options.default_retention, sweep.policy_changed, sweep.policy_begins)
        build = BuildOptions(default_service_account=options.default_service_account)
        artifacts = Artifacts(cluster, options.artifact_buckets)
        reconciler = Reconciler(cluster, store, clock, build, policies, queue.add, measures, artifacts)
        measures.watch_over(store, reconciler.finished, queue)
        registry = watch_registry(Intake(store, queue, policies, series))
        register_login(registry, configuration)
        watches = Watches(registry, options.namespaces, cluster.missing_kinds, measures.watch_restarts.inc)
        stop = asyncio.Event()
        stop_on_signals(stop)
        where = ", ".join(options.namespaces) or "all namespaces"
        logger.info("runwright %s looks after PipelineRuns in %s of %s", __version__, where, configuration.host)
        background = [
            asyncio.create_task(work(queue, measures.timed(reconciler.reconcile), options.workers), name="workers"),
            asyncio.create_task(Resync(cluster, store, queue).forever(options.resync_seconds), name="resync"),
            asyncio.create_task(sweep.forever(), name="sweep"),
        ]

        def report() -> dict[str, object]:
            return {"version": __version__, "watching": watches.running, "waiting": len(queue)}

        try:
            async with health_endpoint(options.probe_address, lambda: watches.running, report, measures.exposition):
                measures.acting(True)
                await watches.run(stop)
        finally:
            measures.acting(False)
            queue.close()
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await reconciler.collector.close()
        logger.info("stopped; what was under way is found again at the next start")


async def first_answer(cluster: KubernetesCluster, host: str) -> None:
    """Return once the API server answers.

    Raises ApiError where it does not within START_SECONDS, or does not know who we are: that is more likely a wrong
    kubeconfig than an outage, and whoever started us should be told, instead of a log that only repeats itself.
    """
    loop = asyncio.get_running_loop()
    began, told = loop.time(), False
    while True:
        try:
            await cluster.missing_kinds()
            return
        except ApiError as error:
            if error.code == 401 or loop.time() - began > START_SECONDS:
                raise
            if not told:
                logger.warning("waiting for the API server %s: %s", host, error)
                told = True
        await asyncio.sleep(START_POLL_SECONDS)


def register_login(registry: kopf.OperatorRegistry, configuration: client.Configuration) -> None:
    """Kopf uses the same credentials as the rest of the operator."""

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await connection_info(configuration)


async def connection_info(configuration: Any) -> kopf.ConnectionInfo:
    """Kopf's form of the client's credentials, as they are now: Kopf asks again when the API server refuses them."""
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        token=await bearer_token(configuration) or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )
