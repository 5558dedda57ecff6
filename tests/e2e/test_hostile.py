"""A hostile tenant against API server, operator and run service, while another tenant works on.

The attacker may edit one namespace and reaches every port; `HOSTILE_SEED` repeats an attack, `HOSTILE_TRICKS` selects tricks by
name, separated by commas, and `HOSTILE_SECONDS` says how long it takes. Both processes must keep their memory below the limits of
their Deployments, answer their probes, log no exception, and serve the other tenant as before.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.localcluster import binaries, pins
from tests.e2e.access import account_kubeconfig
from tests.e2e.argo import Argo, install_argo
from tests.e2e.conftest import REPOSITORY
from tests.e2e.control_plane import ControlPlane, programs
from tests.e2e.hostile_attack import Orders, orders_text
from tests.e2e.hostile_judge import Canary, Watched, percentile
from tests.e2e.hostile_neighbour import seen_by
from tests.e2e.processes import Operator, Serve
from tests.e2e.serving import Caller
from tests.ports import free_port

pytestmark = [pytest.mark.xdist_group("load"), pytest.mark.timeout(600)]

SEED = int(os.environ.get("HOSTILE_SEED") or 20261129)
TRICKS = [one for one in (os.environ.get("HOSTILE_TRICKS") or "").split(",") if one]
BASELINE_SECONDS = 15.0
SECONDS = float(os.environ.get("HOSTILE_SECONDS") or 50)
SETTLE_SECONDS = 60.0
"""Most that the operator may take, after the attack, to say something about each of the attacker's runs."""

TENANT, ATTACKER = "default", "attacker"

LAG_FLOOR = 0.25
"""Seconds. The test, the attacker, etcd, the API server, Argo and both processes share two cores, and the p99 of some hundred ends
is nearly the largest. A p99 below this is their scheduling. What a write to the API server takes under attack is not the
operator's either, so the lag may be twice the p99 of such a write too."""


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """An API server with all kinds, and what `make deploy` installs for rights."""
    built = programs()
    if built is None or not binaries.is_built(pins.ARGO):
        pytest.skip("etcd, kube-apiserver and Argo are not built here: the cluster is another machine's")
    with ControlPlane(tmp_path, built) as started:
        started.install("-k", str(REPOSITORY / "crds"))
        install_argo(started)
        install_rights(started)
        yield started


def memory_limit(deployment: str) -> float:
    """MiB that a Deployment's container may use."""
    (document,) = yaml.safe_load_all((REPOSITORY / "deploy" / deployment / "deployment.yaml").read_text())
    (container,) = document["spec"]["template"]["spec"]["containers"]
    limit = container["resources"]["limits"]["memory"]
    assert limit.endswith("Mi")
    return float(limit[:-2])


def install_rights(plane: ControlPlane) -> None:
    """The rights of both Deployments; the tenant's and the attacker's accounts, with `edit` in a namespace each."""
    for name in ("runwright-system", ATTACKER):
        plane.kubectl("create", "namespace", name)
    for folder in ("base", "serve"):
        rendered = plane.kubectl("kustomize", str(REPOSITORY / "deploy" / folder))
        wanted = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
        items = [one for one in yaml.safe_load_all(rendered) if one["kind"] in wanted]
        document = {"apiVersion": "v1", "kind": "List", "items": items}
        plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(document))
    # No controller aggregates roles here. The last one is what Argo's own installation adds to `edit`.
    plane.kubectl(
        "create",
        "clusterrole",
        "argo-edit",
        "--verb=*",
        "--resource=workflows.argoproj.io,workflowtemplates.argoproj.io",
    )
    roles = ("system:aggregate-to-edit", "runwright-pipelineruns-view", "runwright-pipelineruns-edit", "argo-edit")
    for namespace in (TENANT, ATTACKER):
        plane.kubectl("create", "serviceaccount", "-n", namespace, "editor")
        for role in roles:
            account = f"--serviceaccount={namespace}:editor"
            name = role.replace(":", "-")
            plane.kubectl("create", "rolebinding", "-n", namespace, name, f"--clusterrole={role}", account)


def token(plane: ControlPlane, namespace: str) -> str:
    """A token of the namespace's editor."""
    return plane.kubectl("create", "token", "-n", namespace, "editor", "--duration=1h").strip()


class Stage:
    """Argo, the operator and the run service, with what is sampled of them."""

    def __init__(self, plane: ControlPlane, folder: Path, stack: ExitStack) -> None:
        self.plane = plane
        self.canary = stack.enter_context(Canary())
        bucket = ("--artifact-bucket=allowed.invalid/b",)
        probes = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        accounts = [
            account_kubeconfig(plane.kubectl, "runwright-system", name, folder / name)
            for name in ("runwright-operator", "runwright-serve")
        ]
        argo = Argo(plane.kubeconfig, folder / "argo.log")
        stack.callback(argo.kill)
        argo.start()
        self.operator = stack.enter_context(
            Operator(accounts[0], f"--probe-address={probes[0]}", "--resync=20", *bucket)
        )
        self.serve = stack.enter_context(Serve(accounts[1], f"--probe-address={probes[1]}", *bucket))
        self.operator.start()
        self.serve.start()
        self.addresses = {
            "http": self.serve.http,
            "grpc": self.serve.grpc,
            "probe": probes[1],
            "operator": probes[0],
        }
        self.watched = [
            stack.enter_context(Watched("operator", self.operator, probes[0], memory_limit("base"))),
            stack.enter_context(Watched("run service", self.serve, probes[1], memory_limit("serve"))),
        ]

    def attack(self) -> dict[str, Any]:
        """Let the attacker do all it can; returns what it reports."""
        config = json.loads(self.plane.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        its_token = token(self.plane, ATTACKER)
        experiment = Caller(self.serve.url, its_token).experiment("attacks", ATTACKER)
        orders = Orders(
            SEED,
            SECONDS,
            cluster["server"],
            authority,
            its_token,
            ATTACKER,
            experiment,
            self.addresses,
            self.canary.address,
            TRICKS,
        )
        command = [sys.executable, "-m", "tests.e2e.hostile_attack"]
        done = subprocess.run(
            command,
            input=orders_text(orders),
            capture_output=True,
            text=True,
            timeout=SECONDS + 120,
            cwd=REPOSITORY,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout)


def test_a_hostile_tenant_harms_only_itself(plane: ControlPlane, tmp_path: Path):
    with ExitStack() as stack:
        stage = Stage(plane, tmp_path, stack)
        found = asyncio.run(play(stage))
        wrong = [*judge_processes(stage), *found]
        assert wrong == [], f"HOSTILE_SEED={SEED}\n" + "\n".join(wrong)


async def play(stage: Stage) -> list[str]:
    """Baseline, attack, and peace; returns what was wrong for the tenant and with the attacker's objects."""
    said: list[str] = []
    async with seen_by(stage.plane, token(stage.plane, TENANT), stage.serve) as neighbour:
        await neighbour.work_for(BASELINE_SECONDS)
        before = neighbour.take()
        attack = asyncio.create_task(asyncio.to_thread(stage.attack))
        began = time.monotonic()
        while not attack.done():
            await neighbour.work_for(1)
        report = await attack
        print(f"\nattack of {time.monotonic() - began:.0f} s, HOSTILE_SEED={SEED}:")
        for name, count in report["counts"].items():
            print(f"  {count:5} {name}")
        during = neighbour.take()
        for one in stage.watched:
            print(one.tell())
        print("tenant before:", before.tell(), "\ntenant during:", during.tell(), flush=True)
        said += await neighbour.unfinished(SETTLE_SECONDS)
        allowed = 2 * max(LAG_FLOOR, percentile(before.lags, 99), percentile(during.writes, 99))
        if percentile(during.lags, 99) > allowed:
            said.append(
                f"mirror lag: p99 {percentile(during.lags, 99):.3f} s under attack, at most {allowed:.3f} s allowed"
            )
        said += [f"tenant: {one}" for one in (*before.wrong, *during.wrong)]
        said += await asyncio.to_thread(judge_runs, stage, report["created"])
    return said


def judge_runs(stage: Stage, created: list[list[str]]) -> list[str]:
    """The attacker's runs about which nothing was said: each that the API server accepted has a phase or a condition."""
    tricks = {name: f"{trick}, {variant}" for kind, name, trick, variant in created if kind == "PipelineRun"}
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        silent = sorted(tricks[name] for name in runs_without_status(stage.plane) & set(tricks))
        if not silent or time.monotonic() > deadline:
            return [f"no status on the run of {one}" for one in silent]
        time.sleep(1)  # these objects may be too deep to be watched from Python


def runs_without_status(plane: ControlPlane) -> set[str]:
    """Names of runs that nobody deletes, by a template: the objects themselves may be too deep for Python."""
    template = '{range .items[*]}{.metadata.name} {.metadata.deletionTimestamp}{.status.phase}{.status.conditions[0].type}{"\\n"}{end}'
    lines = plane.kubectl("get", "prun", "-n", ATTACKER, "-o", f"jsonpath={template}", timeout=120).splitlines()
    return {name for name, _, status in (line.partition(" ") for line in lines) if not status}


def judge_processes(stage: Stage) -> list[str]:
    """What was wrong with the two processes, during all of it and after the attacker's objects are gone."""
    plane, said = stage.plane, []
    for kind in ("workflows.argoproj.io", "pipelineruns.runwright.dev", "configmaps", "workflowtemplates.argoproj.io"):
        plane.kubectl("delete", kind, "--all", "-n", ATTACKER, "--wait=false", timeout=120)
    for one in stage.watched:
        said += one.wrong()
    if stage.canary.connections:
        said.append(f"{stage.canary.connections} connections to an address that only the attacker named")
    return said
