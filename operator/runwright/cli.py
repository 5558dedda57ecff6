"""The `runwright` command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import IO, Any, cast

import click
from typing_extensions import override

from runwright import __version__
from runwright.api.duration import duration_of
from runwright.api.retentionpolicy import MAX_KEPT, RetentionPolicySpec
from runwright.controller.election import LEASE_SECONDS
from runwright.controller.process import OperatorOptions, run_operator
from runwright.controller.resync import RESYNC_SECONDS
from runwright.controller.term import TermOptions
from runwright.controller.workers import WORKERS
from runwright.core.metrics.series import DEFAULT_LABELS
from runwright.core.shard import parse_shard
from runwright.kube.objects import Key
from runwright.kubectl.backup import BackupOptions, export, import_
from runwright.kubectl.commands import COMMANDS, CONTEXT
from runwright.kubectl.migrate import MigrateOptions, migrate
from runwright.kubectl.session import fail
from runwright.log import LogFormat, configure
from runwright.service.dispatch import Limits
from runwright.service.run_service import RunOptions


class DurationType(click.ParamType[str]):
    """A duration in the words of `spec.retention`; passed on as it is written."""

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


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which cluster an admin's command is about."""
    config = click.Path(exists=True, dir_okay=False)
    command = click.option("--context", help="Context of the kubeconfig. Default: its current one.")(command)
    return click.option("--kubeconfig", type=config, help="Default: KUBECONFIG, ~/.kube/config.")(command)


def carry_out(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end; what goes wrong is told, and ends the command with 1."""
    try:
        asyncio.run(work)
    except Exception as error:
        fail(error)


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="runwright")
def main() -> None:
    """Kubeflow Pipelines' run service as a Kubernetes operator over Argo Workflows.

    Every option can also be given as an environment variable, such as RUNWRIGHT_OPERATOR_LOG_FORMAT.
    """


@main.command()
@click.option(
    "--namespace", "-n", "namespaces", multiple=True, help="Look after this namespace only; repeatable. Default: all."
)
@click.option(
    "--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="Default: the pod's own, KUBECONFIG, ~/.kube."
)
@click.option("--context", help="Context of the kubeconfig. Default: its current one.")
@click.option(
    "--default-service-account", default="", help="For pods of runs that name none, or KFP's pipeline-runner."
)
@click.option("--workers", type=click.IntRange(1, 256), default=WORKERS, help="Runs reconciled at a time.")
@click.option(
    "--resync", type=click.FloatRange(min=1), default=RESYNC_SECONDS, help="Seconds between looks for missed events."
)
@click.option("--archive-after", type=DURATION, help="Archive runs this long after their end. Default: never.")
@click.option(
    "--delete-after",
    type=DURATION,
    help="Delete runs this long after their end; those that a GitOps tool owns are archived. Default: never.",
)
@click.option(
    "--keep-workflow",
    type=DURATION,
    help="Delete Workflows and their pods this long after the end of the run. Default: never.",
)
@click.option(
    "--keep-succeeded",
    type=KEPT,
    help="Of a namespace's runs that are Succeeded or Skipped and not archived, keep this many. Default: all.",
)
@click.option(
    "--keep-failed",
    type=KEPT,
    help="Of a namespace's runs that are Failed or Error and not archived, keep this many. Default: all.",
)
@click.option(
    "--artifact-bucket",
    "artifact_buckets",
    multiple=True,
    metavar="HOST/BUCKET",
    help="Read metrics that steps left in this bucket with the operator's own identity, where the Workflow names no "
    "Secret; repeatable. Default: none.",
)
@click.option(
    "--run-metrics-limit",
    type=click.IntRange(0, 100_000),
    default=0,
    help="Tell Prometheus the metrics that runs report, in this many series at most. 0: none.",
)
@click.option(
    "--run-metrics-label",
    "run_metrics_labels",
    multiple=True,
    default=DEFAULT_LABELS,
    metavar="LABEL",
    help="Label of these series: namespace, run, node, display-name, pipeline, experiment, or label:KEY for a label of "
    "the run; repeatable. Runs with the same labels are one series, of the newest.",
)
@click.option(
    "--shard",
    "shard_name",
    default="",
    help="Name of the part of the runs that --selector selects; their Workflows carry it as a label.",
)
@click.option(
    "--selector",
    default="",
    metavar="SELECTOR",
    help="Look after the PipelineRuns with these labels only, such as team=a or 'team notin (a,b)'; needs --shard. The "
    "selectors of all operators together must leave no run out, and none may fit two.",
)
@click.option(
    "--lease",
    type=LEASE,
    metavar="NAMESPACE/NAME",
    help="Act only while holding this Lease, which is made where it is not there: of several operators with the same one, "
    "one acts and the others stand by. Default: there is no other.",
)
@click.option(
    "--lease-seconds",
    type=click.IntRange(10, 600),
    default=int(LEASE_SECONDS),
    help="How long after the leader's death another operator takes over.",
)
@click.option(
    "--probe-address", default="", help="HOST:PORT that answers /healthz, /readyz and /metrics; empty for none."
)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="Form of the log lines.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", help="Least level logged."
)
def operator(
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
    """Look after PipelineRuns: create their Workflows and mirror what becomes of them.

    Runs until it gets SIGTERM or SIGINT. Can be killed at any moment: all it knows is in the cluster.

    How long runs are kept is the default for those that do not say so in their spec.retention and whose namespace has
    no RetentionPolicy that does. A duration is written as 90s, 15m, 36h, 7d or 1h30m.
    """
    configure(cast(LogFormat, log_format), log_level)
    try:
        shard = parse_shard(shard_name, selector)
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
        artifact_buckets=artifact_buckets,
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
    carry_out(run_operator(options))


@main.command()
@click.option(
    "--namespace",
    "-n",
    default="",
    help="Single-user mode: everything is in this namespace, and clients name none. Default: multi-user mode, in which "
    "each experiment has a namespace.",
)
@click.option(
    "--watch-namespace",
    "watch_namespaces",
    multiple=True,
    help="In multi-user mode, serve this namespace only; repeatable. Default: all.",
)
@click.option("--http-address", default="127.0.0.1:8888", help="HOST:PORT of REST.")
@click.option("--grpc-address", default="127.0.0.1:8887", help="HOST:PORT of gRPC; empty for none.")
@click.option(
    "--tls-cert", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Certificate, PEM; read anew."
)
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its key, PEM.")
@click.option(
    "--token-audience",
    "token_audiences",
    multiple=True,
    help="Take tokens for this audience only; repeatable. Default: the API server's own.",
)
@click.option(
    "--anonymous-user",
    default="",
    help="Let requests without a token in, as this user of the cluster's RBAC. Default: they are refused.",
)
@click.option(
    "--page-key-secret",
    default="",
    metavar="NAMESPACE/NAME",
    help="Secret with the key of page tokens, which all replicas share; made where it is not there. Default: a key of "
    "this process alone.",
)
@click.option(
    "--default-service-account", default="", help="As the operator's: for pods of runs that name no service account."
)
@click.option(
    "--artifact-bucket",
    "artifact_buckets",
    multiple=True,
    metavar="HOST/BUCKET",
    help="Read artifacts in this bucket with the service's own identity, where the Workflow names no Secret; repeatable.",
)
@click.option(
    "--max-artifact-bytes",
    type=click.IntRange(1024),
    default=RunOptions().max_artifact,
    help="Largest artifact that ReadArtifact gives.",
)
@click.option("--max-request-bytes", type=click.IntRange(1024), default=Limits().request_bytes, help="Largest request.")
@click.option(
    "--request-timeout", type=click.FloatRange(min=0.1), default=Limits().seconds, help="Seconds that a call may take."
)
@click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="Default: the pod's own, KUBECONFIG.")
@click.option("--context", help="Context of the kubeconfig. Default: its current one.")
@click.option("--probe-address", default="", help="HOST:PORT of /healthz, /readyz and /metrics; empty for none.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="Form of the log lines.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", help="Least level logged."
)
def serve(
    max_artifact_bytes: int,
    max_request_bytes: int,
    request_timeout: float,
    default_service_account: str,
    log_format: str,
    log_level: str,
    **given: Any,
) -> None:
    """Serve KFP's v1beta1 API over PipelineRuns: REST and gRPC, for the clients that people have.

    Each request needs a bearer token of the cluster, and its user the right in RBAC to do to PipelineRuns what it asks
    for. Stateless: any number of replicas.
    """
    configure(cast(LogFormat, log_format), log_level)
    # gRPC is in this alone: an operator that does not serve would hold 15 MiB of it.
    from runwright.service.server import ServeOptions, run_serve

    options = ServeOptions(
        **given,
        runs=RunOptions(default_service_account, max_artifact_bytes),
        limits=Limits(max_request_bytes, request_timeout),
    )
    carry_out(run_serve(options))


@main.command("migrate")
@cluster_options
def migrate_command(kubeconfig: str | None, context: str | None) -> None:
    """Have all stored objects written in the API version that their CRDs store now.

    Needed before an older version is taken out of the CRDs: docs/upgrade.md. Runs go on meanwhile; it can be cut off and
    begun again.
    """
    carry_out(migrate(MigrateOptions(kubeconfig, context)))


@main.command("export")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), default="-")
@click.option("--namespace", "-n", default="", help="Of this namespace only. Default: of all.")
@cluster_options
def export_command(file: Path, namespace: str, kubeconfig: str | None, context: str | None) -> None:
    """Write all runs, and what belongs to them, into FILE, one object a line: docs/backup.md."""
    carry_out(export(BackupOptions(namespace, kubeconfig, context), file))


@main.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--namespace", "-n", default="", help="Put all into this namespace. Default: each where it was.")
@cluster_options
def import_command(file: IO[str], namespace: str, kubeconfig: str | None, context: str | None) -> None:
    """Make the runs that `runwright export` has written into FILE. What has ended does not run again.

    What is there already is left alone, so it can be cut off and begun again.
    """
    carry_out(import_(BackupOptions(namespace, kubeconfig, context), file))


for command in COMMANDS:
    main.add_command(command)
