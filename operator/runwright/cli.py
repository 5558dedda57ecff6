"""The `runwright` command."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import click

from runwright import __version__
from runwright.log import LogFormat, configure
from runwright.process import OperatorOptions, run_operator
from runwright.runtime.resync import RESYNC_SECONDS
from runwright.runtime.workers import WORKERS

CONTEXT = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "RUNWRIGHT", "show_default": True}


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
@click.option("--probe-address", default="", help="HOST:PORT of the liveness probe /healthz; empty for none.")
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
    probe_address: str,
    log_format: str,
    log_level: str,
) -> None:
    """Look after PipelineRuns: create their Workflows and mirror what becomes of them.

    Runs until it gets SIGTERM or SIGINT. Can be killed at any moment: all it knows is in the cluster.
    """
    configure(cast(LogFormat, log_format), log_level)
    options = OperatorOptions(
        namespaces=namespaces,
        kubeconfig=kubeconfig,
        context=context,
        default_service_account=default_service_account,
        workers=workers,
        resync_seconds=resync,
        probe_address=probe_address,
    )
    try:
        asyncio.run(run_operator(options))
    except Exception as error:
        told = " ".join(str(error).split())
        sys.exit(f"runwright: {type(error).__name__}: {told}")
