"""The process of the run service: its parts connected, its servers, and its end."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import ClientSession

from runwright.kube.resource import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from runwright.kube.supervise import Supervisor
from runwright.service import server
from runwright.service.contract.run_pb2 import ListRunsRequest, ListRunsResponse
from runwright.service.measures import ServiceMeasures
from runwright.service.server import (
    Certificate,
    ServeOptions,
    Service,
    grpc_credentials,
    make_tls_context,
    run_serve,
    serve_grpc,
    serve_rest,
    split_address,
)
from tests.unit.fake.apiserver import ApiServer
from tests.unit.fake.client import FakeClient
from tests.unit.service.bodies import run_body


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def fake_cluster() -> FakeClient:
    """A cluster with two runs, in which everybody is ann and may do everything."""
    client = FakeClient(ApiServer(lambda: datetime(2026, 11, 24, 12, tzinfo=UTC)))
    client.replies = {
        TOKEN_REVIEWS: lambda body: {"status": {"authenticated": True, "user": {"username": "ann"}}},
        SUBJECT_ACCESS_REVIEWS: lambda body: {"status": {"allowed": True}},
    }
    for namespace in ("team", "other"):
        client.server.create("PipelineRun", run_body(metadata={"namespace": namespace}))
    return client


@asynccontextmanager
async def serving(options: ServeOptions) -> AsyncIterator[Service]:
    """The service on a fake cluster, with the servers of the options, once its indexes are in sync."""
    service = Service(fake_cluster(), options, b"k" * 32, ServiceMeasures())
    async with AsyncExitStack() as stack:
        service.start(await stack.enter_async_context(Supervisor().group()))
        await stack.enter_async_context(serve_rest(service.dispatch, options))
        await stack.enter_async_context(serve_grpc(service.dispatch, options))
        async with asyncio.timeout(5):
            while not service.synced:  # noqa: ASYNC110 - two indexes
                await asyncio.sleep(0.001)
        yield service


@pytest.mark.parametrize(
    ("more", "runs", "multi_user"),
    [({}, 2, True), ({"watch_namespaces": ("team",)}, 1, True), ({"namespace": "other"}, 1, False)],
)
async def test_the_runs_of_the_namespaces_are_served_over_rest_and_grpc(
    more: dict[str, Any], runs: int, multi_user: bool
):
    options = ServeOptions(http_address=free_address(), grpc_address=free_address(), **more)
    async with serving(options), ClientSession(headers={"Authorization": "Bearer t"}) as session:
        async with session.get(f"http://{options.http_address}/apis/v1beta1/runs") as reply:
            assert (await reply.json())["total_size"] == runs
        async with session.get(f"http://{options.http_address}/apis/v1beta1/healthz") as reply:
            assert (await reply.json())["multi_user"] is multi_user
        async with grpc.aio.insecure_channel(options.grpc_address) as channel:
            call = channel.unary_unary(
                "/api.RunService/ListRuns",
                request_serializer=ListRunsRequest.SerializeToString,
                response_deserializer=ListRunsResponse.FromString,
            )
            listed: Any = await call(ListRunsRequest(), metadata=(("authorization", "Bearer t"),))
            assert listed.total_size == runs


async def test_without_a_grpc_address_only_rest_is_served():
    options = ServeOptions(http_address=free_address(), grpc_address="")
    url = f"http://{options.http_address}/apis/v1beta1/healthz"
    async with serving(options), ClientSession() as session, session.get(url) as reply:
        assert reply.status == 200


async def test_manifests_in_use_are_unknown_until_the_index_is_in_sync():
    options = ServeOptions(http_address=free_address(), grpc_address="")
    assert Service(fake_cluster(), options, b"k" * 32, ServiceMeasures()).manifests_in_use() is None
    async with serving(options) as service:
        assert service.manifests_in_use() == set()


@pytest.mark.parametrize("address", ["8888", "localhost:", "localhost:http"])
async def test_an_address_without_host_or_port_is_an_error(address: str):
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        split_address(address)


def test_an_ipv6_address_is_split_at_its_last_colon():
    assert split_address("[::1]:80") == ("::1", 80) and split_address(":80") == ("", 80)


# -------------------------------------------------------------------------------------------------------------------- TLS
@pytest.fixture
def certificate(tmp_path: Path) -> ServeOptions:
    return issue(tmp_path, "first")


def issue(folder: Path, name: str) -> ServeOptions:
    options = ServeOptions(tls_cert=folder / "tls.crt", tls_key=folder / "tls.key")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    files = ["-subj", f"/CN={name}", "-keyout", str(options.tls_key), "-out", str(options.tls_cert)]
    subprocess.run([*command, *files], check=True, capture_output=True)
    return options


async def test_tls_needs_certificate_and_key(tmp_path: Path):
    assert make_tls_context(ServeOptions()) is None
    with pytest.raises(ValueError, match="expected both, or none"):
        await run_serve(ServeOptions(tls_cert=tmp_path / "tls.crt"))


async def test_a_changed_certificate_is_reloaded_and_a_damaged_one_is_logged(
    certificate: ServeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(server, "CERTIFICATE_POLL_SECONDS", 0.1)
    context = make_tls_context(certificate)
    assert context is not None
    with caplog.at_level(logging.INFO):
        async with Supervisor().group() as loops:
            Certificate(context, certificate).start(loops)
            issue(tmp_path, "second")
            await seen(caplog, "reloaded the certificate")
            (tmp_path / "tls.crt").write_text("damaged")
            await seen(caplog, "tls.crt cannot be loaded")


async def seen(caplog: pytest.LogCaptureFixture, text: str) -> None:
    async with asyncio.timeout(5):
        while not any(text in record.getMessage() for record in caplog.records):  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.001)


def test_grpc_credentials_need_readable_files(certificate: ServeOptions, tmp_path: Path):
    assert certificate.tls_cert and certificate.tls_key
    assert grpc_credentials(certificate.tls_cert, certificate.tls_key) is not None
    with pytest.raises(OSError, match="missing"):
        grpc_credentials(tmp_path / "missing", certificate.tls_key)
