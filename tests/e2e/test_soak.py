"""Hundreds of runs at a time, while operator, Argo's controller, API server and etcd are killed and paused at random.

Nothing is lost, nothing is done twice, nothing ends wrongly: judged by etcd's own history, which is read when all are dead. Argo is
the real one, on Workflows without pods. `SOAK_SEED` plays the blows again; `SOAK_RUNS` says how many runs are under way at a time,
`SOAK_SECONDS` for how long, `SOAK_LONGEST` how many seconds a Workflow takes at most, and `SOAK_OPERATORS` how many compete.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from deploy.local.localcluster import binaries, pins
from tests.e2e.argo import Argo, install_argo
from tests.e2e.chaos import Victim, strike
from tests.e2e.conftest import REPOSITORY
from tests.e2e.control_plane import ControlPlane, programs
from tests.e2e.fault_proxy import way_in
from tests.e2e.processes import Operator
from tests.e2e.soak_judge import by_name, ended_by_argo, run_seen, workflow_seen, wrong
from tests.e2e.soak_users import Users

pytestmark = pytest.mark.xdist_group("load")

SEED = int(os.environ.get("SOAK_SEED") or 20261127)
RUNS = int(os.environ.get("SOAK_RUNS") or 120)
SECONDS = float(os.environ.get("SOAK_SECONDS") or 40)
LONGEST = float(os.environ.get("SOAK_LONGEST") or 10)
OPERATORS = int(os.environ.get("SOAK_OPERATORS") or 2)
SETTLE_SECONDS = 150.0
"""Most that the runs may take, once all is in peace, until the last one has come to its end."""

RUN_PREFIX = "/registry/runwright.dev/pipelineruns/default/"
WORKFLOW_PREFIX = "/registry/argoproj.io/workflows/default/"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """An etcd that forgets nothing, with all kinds in it."""
    built = programs()
    if built is None or not binaries.is_built(pins.ARGO):
        pytest.skip("etcd, kube-apiserver and Argo are not built here: the cluster is another machine's")
    with ControlPlane(tmp_path, built, "--etcd-compaction-interval=0") as started:
        started.install("-k", str(REPOSITORY / "crds"))
        install_argo(started)
        yield started


@dataclass
class Part:
    """`etcd` or `kube-apiserver`, as one who may die."""

    plane: ControlPlane
    name: str

    def kill(self) -> None:
        self.plane.kill(self.name)

    def start(self) -> None:
        (self.plane.start_etcd if self.name == "etcd" else self.plane.start_api_server)()

    def freeze(self) -> None:
        self.plane.signal(self.name, signal.SIGSTOP)

    def thaw(self) -> None:
        self.plane.signal(self.name, signal.SIGCONT)


class Quick(Operator):
    """An operator that nobody waits for: it may stand by, or find no API server yet."""

    def start(self, until: str = "") -> None:
        super().start(until)


@dataclass
class Soak:
    """All that takes part."""

    plane: ControlPlane
    argo: Argo
    operators: list[Quick]
    argo_ended: int = 0
    """How often Argo's controller ended by itself, and was started again as its Deployment would."""

    def victims(self) -> dict[str, Victim]:
        """Who may die, by name."""
        parts: dict[str, Victim] = {name: Part(self.plane, name) for name in ("etcd", "kube-apiserver")}
        return parts | {"Argo": self.argo} | {f"operator {n}": one for n, one in enumerate(self.operators, 1)}

    async def keep_argo(self) -> None:
        """Start Argo's controller again where it has ended."""
        while True:
            await asyncio.sleep(2)
            # Two at a time would not be Argo's fault: its own lease prevents it.
            if self.argo.ended:
                self.argo_ended += 1
                self.argo.start()

    async def play(self) -> Users:
        """Users work under blows, and then in peace until all their runs have come to their end."""
        server, authority, token = way_in(self.plane.kubeconfig)
        connector = aiohttp.TCPConnector(ssl=authority, limit=64)
        headers = {"Authorization": f"Bearer {token}"}
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(server, connector=connector, headers=headers, timeout=timeout) as session:
            users = Users(session, SEED, LONGEST)
            always = [asyncio.create_task(one) for one in (users.look(), self.keep_argo())]
            lives: set[asyncio.Task[None]] = set()
            began = time.monotonic()

            def tell(counted: Counter[str]) -> None:
                gone = time.monotonic() - began
                line = (
                    f"{gone:.0f} s: {counted.total()} blows, {len(lives)} runs under way, {len(users.done)} have ended"
                )
                print(line, file=sys.stderr, flush=True)

            blows = asyncio.create_task(asyncio.to_thread(strike, SEED, self.victims(), SECONDS, tell))
            number = 0
            while not blows.done():
                while len(lives) < RUNS and time.monotonic() - began < SECONDS:
                    lives.add(task := asyncio.create_task(users.live(number)))
                    task.add_done_callback(lives.discard)
                    number += 1
                assert not [task.result() for task in always if task.done()]
                await asyncio.sleep(0.2)
            print(f"SOAK_SEED={SEED}: {number} runs, {RUNS} at a time; {dict(await blows)}")
            # Argo 3.7 lets a Workflow lie for 20 minutes whose update met a dead API server; one that starts looks at all.
            self.argo.kill()
            self.argo.start()
            try:
                async with asyncio.timeout(SETTLE_SECONDS):
                    await asyncio.gather(*lives)
            except TimeoutError:
                pytest.fail(f"they came to no end: {sorted(set(users.plans) - users.done)}")
            finally:
                for task in always:
                    task.cancel()
        return users


def test_random_kills_of_all_components_lose_nothing(plane: ControlPlane, tmp_path: Path):
    lease = ("--lease=default/soak", "--lease-seconds=10") if OPERATORS > 1 else ()
    started = [Quick(plane.kubeconfig, "--resync=15", *lease) for _ in range(OPERATORS)]
    soak = Soak(plane, Argo(plane.kubeconfig, tmp_path / "argo.log"), started)
    soak.argo.start()
    try:
        for one in started:
            one.start()
        users = asyncio.run(soak.play())
        assert [one for one in started if not one.alive] == [], "an operator ended by itself"
    finally:
        for one in (*started, soak.argo):
            one.kill()
    plane.kill("kube-apiserver")
    runs = by_name(plane.history(RUN_PREFIX), run_seen)
    workflows = by_name(plane.history(WORKFLOW_PREFIX), workflow_seen)
    versions = [sum(len(one) for one in kind.values()) for kind in (runs, workflows)]
    print(
        f"{versions[0]} versions of runs and {versions[1]} of Workflows; Argo ended by itself {soak.argo_ended} times "
        f"and gave {sum(map(ended_by_argo, workflows.values()))} Workflows up"
    )
    said = {name: wrong(plan, runs[name], workflows[name]) for name, plan in users.plans.items()}
    bad = {name: words for name, words in said.items() if words}
    for name in list(bad)[:3]:
        print(name, *runs[name], *workflows[name], sep="\n  ")
    assert bad == {}
    assert set(runs) == set(workflows) == set(users.plans), "nothing came that nobody wanted"
    for one in started:
        assert [line for line in one.errors() if "exception" in line] == []
