"""Attacks on the run service: each is bounded, costs little memory, and another client is answered meanwhile."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from runwright.service.contract.resource_reference_pb2 import ResourceKey, ResourceType
from runwright.service.contract.run_pb2 import ListRunsRequest, ListRunsResponse
from tests.e2e.attacks import ATTACKS, MIB
from tests.e2e.cluster import Kubectl
from tests.e2e.conftest import fresh_namespace
from tests.e2e.process_usage import read_process
from tests.e2e.processes import REPOSITORY, Serve
from tests.e2e.serving import Caller, token_of

MORE_MIB = 160
"""Memory that an attack may take, in MiB, beyond that of the idle process; its container has 512."""

PATIENCE_SECONDS = 4.0
"""How long one call of another client may take at worst, on a machine that runs the attacks too."""


@dataclass(frozen=True)
class Stage:
    """A run service, somebody who attacks it, and somebody who calls it as usual."""

    serve: Serve
    attacker: str
    """A token without rights."""
    others: tuple[str, ...]
    """More such tokens."""
    viewer: str
    """A token that may list the runs of the namespace."""
    namespace: str

    def list_runs(self) -> None:
        """Call ListRuns over REST, and over gRPC on a new connection."""
        key: Any = {"resource_reference_key.type": "NAMESPACE", "resource_reference_key.id": self.namespace}
        assert Caller(self.serve.url, self.viewer).good("GET", "/runs", **key)["total_size"] == 0
        request = ListRunsRequest(resource_reference_key=ResourceKey(type=ResourceType.NAMESPACE, id=self.namespace))
        with grpc.insecure_channel(self.serve.grpc, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary(
                "/api.RunService/ListRuns",
                request_serializer=ListRunsRequest.SerializeToString,
                response_deserializer=ListRunsResponse.FromString,
            )
            reply: Any = call(request, metadata=(("authorization", f"Bearer {self.viewer}"),), timeout=20)
            assert reply.total_size == 0

    def timed(self) -> float:
        """Seconds of these two calls."""
        began = time.monotonic()
        self.list_runs()
        return time.monotonic() - began

    def suffer(self, attack: str) -> tuple[Counter[str], list[float], float]:
        """What the attack saw, the seconds of each pair of calls meanwhile, and the memory at its peak, in MiB."""
        before = read_process(self.serve.pid).resident
        Path(f"/proc/{self.serve.pid}/clear_refs").write_text("5")
        command = [sys.executable, "-m", "tests.e2e.attacks", attack, self.serve.http, self.serve.grpc]
        command += [self.attacker, ",".join(self.others)]
        seconds: list[float] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, text=True) as process:
            while process.poll() is None:
                seconds.append(self.timed())
                time.sleep(0.05)
            assert process.stdout is not None
            saw = process.stdout.read()
        assert process.returncode == 0
        return Counter(json.loads(saw)), seconds, read_process(self.serve.pid).peak - before


@pytest.fixture(scope="module")
def stage(serve_account: Path, kubectl: Kubectl) -> Iterator[Stage]:
    with fresh_namespace(kubectl) as namespace, Serve(serve_account) as serve:
        attacker, viewer = (token_of(kubectl, namespace, name, role) for name, role in (("a", None), ("v", "view")))
        others = tuple(token_of(kubectl, namespace, f"o{number}", None) for number in range(12))
        serve.start()
        serve.wait_log("pipelineexperiments listed in")
        serve.wait_log("pipelineruns listed in")
        it = Stage(serve, attacker, others, viewer, namespace)
        it.list_runs()
        yield it
        assert serve.alive and serve.errors() == []


EXPECTED: dict[str, set[str]] = {
    "bodies_without_token": {"401"},
    "gzip_bombs": {"401", "400"},
    "slow_bodies": {"429", "504", "nothing"},
    "expanding_bodies": {"400", "429", "504", "nothing"},
    "half_sent_headers": {"closed", "nothing"},
    "unread_replies": {"unread"},
    "junk": {"closed", "ended", "400", "401", "nothing"},
    "invalid_tokens": {"401", "429", "closed"},
    "idle_reflection": {"UNAUTHENTICATED", "RESOURCE_EXHAUSTED", "nothing"},
    "unfinished_calls": {"RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "nothing", "OK"},
    "stalled_users": {"RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "nothing"},
    "large_messages": {
        "UNAUTHENTICATED",
        "RESOURCE_EXHAUSTED",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "UNIMPLEMENTED",
        "INTERNAL",
        "nothing",
    },
    "grpc_connections": {"closed", "nothing"},
}
"""What each attack may see. INTERNAL: gRPC ended the stream while the client was still sending."""


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_costs_little_memory_and_other_clients_are_answered(stage: Stage, attack: str):
    saw, seconds, more = stage.suffer(attack)
    assert set(saw) <= EXPECTED[attack], saw
    assert more < MORE_MIB, f"{more:.0f} MiB more; the attack saw {saw}"
    assert max(seconds) < PATIENCE_SECONDS and statistics.median(seconds) < 0.5, (saw, sorted(seconds)[-5:])


def test_slots_and_connections_are_free_after_the_attacks(stage: Stage):
    saw, _, _ = stage.suffer("idle_reflection")
    assert saw["UNAUTHENTICATED"] == 300 and saw["RESOURCE_EXHAUSTED"] >= 200, "64 streams for each user"
    stage.list_runs()


def test_a_refusal_says_what_to_do_and_ends_the_connection(stage: Stage):
    status, refused = Caller(stage.serve.url, stage.viewer)(
        "POST", "/runs", {"name": "x" * (4 * MIB)}, headers={"Connection": "keep-alive"}
    )
    assert status == 429 and "limit of a request" in refused["message"]
    status, refused = Caller(stage.serve.url, stage.viewer)("POST", "/runs", {}, headers={"Content-Encoding": "gzip"})
    assert status == 400 and "Send the body without compression" in refused["message"]
