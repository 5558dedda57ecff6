"""`runwright operator`: the options of the operator."""

from __future__ import annotations

from typing import cast

import click
from typing_extensions import override

from runwright.api.duration import duration_of
from runwright.api.retentionpolicy import MAX_KEPT, RetentionPolicySpec
from runwright.artifacts.allowed import ARGO_NAMESPACE, AllowedStores
from runwright.controller.election import LEASE_SECONDS
from runwright.controller.process import OperatorOptions, run_operator
from runwright.controller.resync import RESYNC_SECONDS
from runwright.controller.term import TermOptions
from runwright.controller.workers import WORKERS
from runwright.core.metrics.series import DEFAULT_LABELS
from runwright.core.shard import parse_shard
from runwright.kube.objects import Key
from runwright.kube.signals import run_process
from runwright.log import LogFormat, configure_logging, log_options


class DurationType(click.ParamType[str]):
    """A duration as `spec.retention` has it; returned as it is written."""

    name = "duration"

    @override
    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            duration_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return value


class LeaseType(click.ParamType[Key]):
    """The namespace and name of a Lease."""

    name = "lease"

    @override
    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Key:
        namespace, slash, name = value.partition("/")
        if not namespace or not slash or not name or "/" in name:
            self.fail(f"{value!r}: expected NAMESPACE/NAME", param, ctx)
        return Key(namespace, name)


DURATION = DurationType()
LEASE = LeaseType()
KEPT = click.IntRange(0, MAX_KEPT)


@click.command("operator")
@click.option(
    "--namespace",
    "-n",
    "namespaces",
    multiple=True,
    help="Watch only this namespace; repeatable. Default: all namespaces.",
)
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False),
    help="Path of a kubeconfig. Default: the pod's service account, then KUBECONFIG, then ~/.kube/config.",
)
@click.option("--context", help="Context of the kubeconfig. Default: its current context.")
@click.option(
    "--default-service-account",
    default="",
    show_default=False,
    help="Service account for runs that set none, or that set KFP's pipeline-runner.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=WORKERS,
    help="Maximum number of runs that are reconciled at the same time.",
)
@click.option(
    "--resync",
    type=click.FloatRange(min=1),
    default=RESYNC_SECONDS,
    help="Seconds between two resyncs, which find missed events.",
)
@click.option("--archive-after", type=DURATION, help="Archive runs this long after their end. Default: never.")
@click.option(
    "--delete-after",
    type=DURATION,
    help="Delete runs this long after their end. Runs that a GitOps tool owns are archived instead. Default: never.",
)
@click.option(
    "--keep-workflow",
    type=DURATION,
    help="Delete the Workflow and pods of a run this long after its end. Default: never.",
)
@click.option(
    "--keep-succeeded",
    type=KEPT,
    help="Keep at most this many Succeeded or Skipped runs per namespace that are not archived. Default: all.",
)
@click.option(
    "--keep-failed",
    type=KEPT,
    help="Keep at most this many Failed or Error runs per namespace that are not archived. Default: all.",
)
@click.option(
    "--artifact-bucket",
    "artifact_buckets",
    multiple=True,
    metavar="HOST/BUCKET",
    help="Bucket that the operator may read with its own identity, to collect metrics of Workflows that name no Secret; "
    "repeatable. Default: none.",
)
@click.option(
    "--artifact-endpoint",
    "artifact_endpoints",
    multiple=True,
    metavar="HOST[/BUCKET]",
    help="Object store that the operator may read with keys from Secrets, besides those of AWS, Google Cloud, Azure and Argo's "
    "own artifact repositories; repeatable.",
)
@click.option(
    "--argo-namespace",
    default=ARGO_NAMESPACE,
    help="Namespace of Argo's controller, for its artifact repositories; empty to use none of them.",
)
@click.option(
    "--run-metrics-limit",
    type=click.IntRange(0, 100_000),
    default=0,
    help="Maximum number of run-metric series to expose (0 turns them off).",
)
@click.option(
    "--run-metrics-label",
    "run_metrics_labels",
    multiple=True,
    default=DEFAULT_LABELS,
    metavar="LABEL",
    help="Label of run-metric series: namespace, run, node, display-name, pipeline, experiment, or label:KEY for a label of "
    "the run; repeatable. Runs with equal labels share one series, with the value of the newest run.",
)
@click.option(
    "--shard",
    "shard_name",
    default="",
    show_default=False,
    help="Name of this operator's shard, the runs that --selector selects. Their Workflows get it as a label.",
)
@click.option(
    "--selector",
    default="",
    show_default=False,
    metavar="SELECTOR",
    help="Reconcile only PipelineRuns that match this label selector, such as team=a or 'team notin (a,b)'; requires --shard. "
    "Each run must match the selector of exactly one operator.",
)
@click.option(
    "--lease",
    type=LEASE,
    metavar="NAMESPACE/NAME",
    help="Lease for leader election; it is created if it does not exist. Of all operators with the same Lease, one is active "
    "and the others stand by. Default: no leader election.",
)
@click.option(
    "--lease-seconds",
    type=click.IntRange(10, 600),
    default=int(LEASE_SECONDS),
    help="Seconds after the failure of the leader until another operator takes over.",
)
@click.option(
    "--probe-address",
    default="",
    show_default=False,
    help="HOST:PORT of /healthz, /readyz and /metrics; empty for none.",
)
@log_options
def operator_command(
    namespaces: tuple[str, ...],
    kubeconfig: str | None,
    context: str | None,
    default_service_account: str,
    workers: int,
    resync: float,
    archive_after: str | None,
    delete_after: str | None,
    keep_workflow: str | None,
    keep_succeeded: int | None,
    keep_failed: int | None,
    artifact_buckets: tuple[str, ...],
    artifact_endpoints: tuple[str, ...],
    argo_namespace: str,
    run_metrics_limit: int,
    run_metrics_labels: tuple[str, ...],
    shard_name: str,
    selector: str,
    lease: Key | None,
    lease_seconds: int,
    probe_address: str,
    log_format: str,
    log_level: str,
) -> None:
    """Reconcile PipelineRuns: create their Workflows and mirror the status of the Workflows.

    Runs until SIGTERM or SIGINT. The operator keeps all state in the cluster, so it can be killed at any time.

    The retention options are defaults: spec.retention of a run and the RetentionPolicy of its namespace take precedence.
    A duration is written as 90s, 15m, 36h, 7d or 1h30m.
    """
    configure_logging(cast(LogFormat, log_format), log_level)
    try:
        shard = parse_shard(shard_name, selector)
        stores = AllowedStores.parse(artifact_buckets, artifact_endpoints, argo_namespace)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    term = TermOptions(
        namespaces=namespaces,
        shard=shard,
        default_service_account=default_service_account,
        default_retention=RetentionPolicySpec(
            archive_after=archive_after,
            delete_after=delete_after,
            keep_workflow=keep_workflow,
            keep_succeeded=keep_succeeded,
            keep_failed=keep_failed,
        ),
        stores=stores,
        run_metrics_limit=run_metrics_limit,
        run_metrics_labels=run_metrics_labels,
        workers=workers,
        resync_seconds=resync,
    )
    options = OperatorOptions(
        term=term,
        kubeconfig=kubeconfig,
        context=context,
        lease=lease,
        lease_seconds=lease_seconds,
        probe_address=probe_address,
    )
    run_process(run_operator(options))
