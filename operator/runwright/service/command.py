"""`runwright serve`: the options of the run service."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from runwright.artifacts.allowed import ARGO_NAMESPACE, AllowedStores
from runwright.kube.signals import run_process
from runwright.log import LogFormat, configure_logging, log_options
from runwright.service.budget import Limits
from runwright.service.run_service import RunOptions
from runwright.service.server import ServeOptions, run_serve


@click.command("serve")
@click.option(
    "--namespace",
    "-n",
    default="",
    show_default=False,
    help="Single-user mode: all objects are in this namespace, and clients name none. Default: multi-user mode, in which "
    "each experiment has a namespace.",
)
@click.option(
    "--watch-namespace",
    "watch_namespaces",
    multiple=True,
    help="In multi-user mode, serve only this namespace; repeatable. Default: all namespaces.",
)
@click.option("--http-address", default="127.0.0.1:8888", help="HOST:PORT of the REST API.")
@click.option("--grpc-address", default="127.0.0.1:8887", help="HOST:PORT of the gRPC API; empty for none.")
@click.option(
    "--tls-cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificate in PEM; reloaded when it changes.",
)
@click.option(
    "--tls-key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Key of the certificate, in PEM."
)
@click.option(
    "--token-audience",
    "token_audiences",
    multiple=True,
    help="Audience that tokens must have; repeatable. Default: the audience of the API server.",
)
@click.option(
    "--anonymous-user",
    default="",
    show_default=False,
    help="User, for RBAC, of requests without a token. Default: such requests are refused.",
)
@click.option(
    "--page-key-secret",
    default="",
    show_default=False,
    metavar="NAMESPACE/NAME",
    help="Secret with the key of page tokens, shared by all replicas; it must exist, and may be empty. Default: a key of "
    "this process only.",
)
@click.option(
    "--default-service-account",
    default="",
    show_default=False,
    help="Service account for runs that set none; the same value as the operator's option.",
)
@click.option(
    "--artifact-bucket",
    "artifact_buckets",
    multiple=True,
    metavar="HOST/BUCKET",
    help="Bucket that the service may read with its own identity, for Workflows that name no Secret; repeatable.",
)
@click.option(
    "--artifact-endpoint",
    "artifact_endpoints",
    multiple=True,
    metavar="HOST[/BUCKET]",
    help="Object store that the service may read with keys from Secrets, besides those of AWS, Google Cloud, Azure and Argo's "
    "own artifact repositories; repeatable.",
)
@click.option(
    "--argo-namespace",
    default=ARGO_NAMESPACE,
    help="Namespace of Argo's controller, for its artifact repositories; empty to use none of them.",
)
@click.option(
    "--max-artifact-bytes",
    type=click.IntRange(1024),
    default=RunOptions().max_artifact,
    help="Largest artifact that ReadArtifact returns.",
)
@click.option(
    "--max-request-bytes", type=click.IntRange(1024), default=Limits().request_bytes, help="Largest request body."
)
@click.option(
    "--max-calls", type=click.IntRange(1), default=Limits().at_a_time, help="Calls that run at the same time."
)
@click.option(
    "--max-calls-per-user",
    type=click.IntRange(1),
    default=Limits().of_one_caller,
    help="Calls of one user that run at the same time.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(2),
    default=Limits().connections,
    help="Open connections, of HTTP and of gRPC each; one address may have half of those of HTTP.",
)
@click.option(
    "--request-timeout", type=click.FloatRange(min=0.1), default=Limits().seconds, help="Seconds that a call may take."
)
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False),
    help="Path of a kubeconfig. Default: the pod's service account, then KUBECONFIG, then ~/.kube/config.",
)
@click.option("--context", help="Context of the kubeconfig. Default: its current context.")
@click.option(
    "--probe-address",
    default="",
    show_default=False,
    help="HOST:PORT of /healthz, /readyz and /metrics; empty for none.",
)
@log_options
def serve_command(
    max_artifact_bytes: int,
    max_request_bytes: int,
    max_calls: int,
    max_calls_per_user: int,
    max_connections: int,
    request_timeout: float,
    default_service_account: str,
    artifact_buckets: tuple[str, ...],
    artifact_endpoints: tuple[str, ...],
    argo_namespace: str,
    log_format: str,
    log_level: str,
    **given: Any,
) -> None:
    """Serve KFP's v1beta1 API over PipelineRuns, as REST and gRPC, for existing KFP 1.8 clients.

    Each request needs a bearer token of the cluster, and its user needs the matching RBAC rights on PipelineRuns. The
    service is stateless: you can run any number of replicas.
    """
    configure_logging(cast(LogFormat, log_format), log_level)
    try:
        stores = AllowedStores.parse(artifact_buckets, artifact_endpoints, argo_namespace)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    options = ServeOptions(
        **given,
        stores=stores,
        runs=RunOptions(default_service_account, max_artifact_bytes),
        limits=Limits(
            request_bytes=max_request_bytes,
            seconds=request_timeout,
            at_a_time=max_calls,
            of_one_caller=max_calls_per_user,
            connections=max_connections,
        ),
    )
    run_process(run_serve(options))
