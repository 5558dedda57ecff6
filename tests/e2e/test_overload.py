"""More than there is room for: thousands of runs at once, a full etcd, no pods left, no Argo. All is taken up again without a hand.

OVERLOAD_RUNS says how many runs there are at once, and OVERLOAD_ARGO_DOWN_SECONDS how long nobody looks after the Workflows.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.cluster import Kubectl, Object, condition, finished, stalled
from tests.e2e.conftest import REPOSITORY, Apply, WaitRun
from tests.e2e.control_plane import ControlPlane, programs
from tests.e2e.fault_proxy import way_in
from tests.e2e.manifests import instant, one_step, pipeline_run
from tests.e2e.overload_probe import REQUESTS, Metrics, Probed, alert
from tests.e2e.world import World

RUNS_AT_ONCE = 800
AT_A_TIME = 64
ARGO_DOWN_SECONDS = 10.0
UNDER_WAY = 12
"""Of each kind: runs that end, and runs that begin, while etcd is full."""
FULL_SECONDS = 8.0
"""Two of these times it is looked how often the operator asks while etcd is full."""
TRIES = 8
"""In the first of them, of each run, at most: 0.1 s after its first failure, and then after twice as long each time."""

RUNS = "apis/runwright.dev/v1alpha1"
WORKFLOWS = "apis/argoproj.io/v1alpha1"
FULL = "database space exceeded"


class Place:
    """A namespace of the stage, as the test sees and uses it."""

    def __init__(self, session: aiohttp.ClientSession, world: World, namespace: str) -> None:
        self.session, self.world, self.namespace = session, world, namespace

    async def create(self, name: str) -> None:
        """A run of this name."""
        path = f"/{RUNS}/namespaces/{self.namespace}/pipelineruns"
        await self.world.call("POST", path, pipeline_run({"spec": instant()}, name))

    async def play_argo(self, name: str, phase: str) -> None:
        """Write into a Workflow's status what Argo's controller would."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        status: Object = {"phase": phase, "progress": "1/1"}
        status |= {"startedAt": now} if phase == "Running" else {"finishedAt": now}
        path = f"/{WORKFLOWS}/namespaces/{self.namespace}/workflows/{name}"
        await self.world.call("PATCH", path, {"status": status})

    async def until_all(self, kind: str, names: Iterable[str], holds: Callable[[Object], object]) -> None:
        """Return once it is true of all these objects."""
        for name in names:
            await self.world.until(kind, name, holds)

    def workflows(self, name: str) -> set[str]:
        """The uids of all Workflows that there ever were of this name."""
        return {one["metadata"]["uid"] for one in self.world.versions["workflow", name]}


@asynccontextmanager
async def seen_from(plane: ControlPlane, namespace: str = "default") -> AsyncGenerator[Place]:
    """Within it, the test watches all runs and Workflows of the stage, of all namespaces."""
    server, authority, token = way_in(plane.kubeconfig)
    headers = {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(ssl=authority)
    async with aiohttp.ClientSession(server, connector=connector, headers=headers, read_bufsize=2**22) as session:
        world = World(session)
        async with asyncio.TaskGroup() as group:
            kinds = (("run", f"/{RUNS}/pipelineruns"), ("workflow", f"/{WORKFLOWS}/workflows"))
            watching = [group.create_task(world.follow(*one)) for one in kinds]
            try:
                yield Place(session, world, namespace)
            finally:
                for task in watching:
                    task.cancel()


async def at_once(work: Callable[[str], Awaitable[None]], names: Iterable[str]) -> None:
    """Do it for all of them, many at a time."""
    left = iter(names)

    async def worker() -> None:
        for name in left:
            await work(name)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME):
            group.create_task(worker())


def phase(run: Object) -> str:
    """Of a run or a Workflow; empty where it says none."""
    return (run.get("status") or {}).get("phase") or ""


def at_rest(now: Metrics) -> bool:
    """Whether no run waits to be looked at, now or later."""
    return not now.value("runwright_workqueue_depth") and not now.value("runwright_workqueue_delayed")


def grown(before: Metrics, after: Metrics) -> Counter[str]:
    """Requests between the two moments, by verb and resource."""
    return after.requests() - before.requests()


# -------------------------------------------------------------------------------------------------------- many at once
@pytest.mark.xdist_group("load")
@pytest.mark.timeout(900)
def test_thousands_of_runs_get_one_workflow_each_in_order(stage: ControlPlane):
    """Each gets its one Workflow, in the order in which they came; the operator answers all the time."""
    stage.kubectl("create", "namespace", "beside")
    with Probed(stage.kubeconfig) as probed:
        asyncio.run(flood(stage, probed, int(os.environ.get("OVERLOAD_RUNS") or RUNS_AT_ONCE)))
        probed.check()


async def flood(plane: ControlPlane, probed: Probed, count: int) -> None:
    names = [f"flood-{number}" for number in range(count)]
    async with asyncio.timeout(600), seen_from(plane) as place:
        world, beside = place.world, Place(place.session, place.world, "beside")
        before, memory = probed.read(), probed.usage().resident
        began = time.monotonic()
        await at_once(place.create, names[: count // 2])
        await beside.create("beside")
        asked = time.monotonic()
        rest = asyncio.create_task(at_once(place.create, names[count // 2 :]))
        await world.until("workflow", "beside", bool)
        waited, ahead = time.monotonic() - asked, sum(bool(world.versions["workflow", name]) for name in names)
        await rest
        created = time.monotonic() - began
        await place.until_all("workflow", names, bool)
        made = time.monotonic() - began
        await place.until_all("run", [*names, "beside"], lambda run: phase(run) == "Pending")
        idle = await asyncio.to_thread(probed.wait, at_rest)
        asks = grown(before, idle)
        await asyncio.to_thread(probed.wait, lambda now: grown(before, now) == asks)
        usage = probed.usage()
        print(
            f"\n{count} runs created in {created:.1f} s, all Workflows after {made:.1f} s; one beside them after {waited:.1f} s, with"
            f" {ahead} made; in the queue {probed.most('runwright_workqueue_depth'):.0f} runs, the oldest for"
            f" {probed.most('runwright_workqueue_oldest_seconds'):.1f} s; MiB {memory:.0f}, {usage.resident:.0f}, at most"
            f" {usage.peak:.0f}; /healthz {len(probed.health)} times, slowest"
            f" {max(took for _, took in probed.health):.2f} s; requests a run {asks.total() / count:.2f}: {dict(asks)}"
        )
        twice = {name: uids for name in [*names, "beside"] if len(uids := place.workflows(name)) != 1}
        assert twice == {}
        assert world.gone == set()
        assert ahead < count, "it came last, though it was not asked for last"
        assert probed.most("runwright_workqueue_depth") > count / 10, "that was no flood"
        assert asks["create workflows"] == count + 1
        assert [what for what in asks if what.startswith("delete")] == []
        assert asks.total() < 4 * count
        assert usage.peak - memory < 20 + count * 30 / 1024, "more than 30 KiB a run"
        # A flood that is worked off is no reason to wake anybody: the queue is empty long before the alert's ten minutes.
        (selector,) = alert("RunwrightQueueGrowing").selectors
        assert probed.most(selector) > 0
        assert idle.value(selector) == 0


# ------------------------------------------------------------------------------------------------------------ full etcd
@pytest.fixture
def small(tmp_path: Path, argo_kind: str) -> Iterator[ControlPlane]:
    """A stage whose etcd is soon full."""
    built = programs()
    if built is None:
        pytest.skip("no programs of a control plane here: the cluster is another machine's")
    with ControlPlane(tmp_path, built, etcd_options=(f"--quota-backend-bytes={32 * 2**20}",)) as plane:
        plane.install("-k", str(REPOSITORY / "crds"))
        plane.install("-f", "-", input=argo_kind)
        yield plane


@pytest.mark.xdist_group("load")
@pytest.mark.timeout(300)
def test_operator_backs_off_while_etcd_is_full_and_recovers(small: ControlPlane):
    """Nothing can be written while runs end and begin: it says so, asks ever more slowly, and goes on once there is room."""
    with Probed(small.kubeconfig) as probed:
        asyncio.run(fill_and_relieve(small, probed))
        probed.check()


async def fill_and_relieve(plane: ControlPlane, probed: Probed) -> None:
    ending, beginning = ([f"{what}-{number}" for number in range(UNDER_WAY)] for what in ("ends", "begins"))
    operator = probed.operator
    async with asyncio.timeout(250), seen_from(plane) as place:
        await at_once(place.create, ending)
        await place.until_all("workflow", ending, bool)
        await at_once(lambda name: place.play_argo(name, "Running"), ending)
        await place.until_all("run", ending, lambda run: phase(run) == "Running")
        # What it is to write comes about while it looks away: once etcd is full, nothing does.
        operator.freeze()
        try:
            await at_once(lambda name: place.play_argo(name, "Succeeded"), ending)
            await at_once(place.create, beginning)
            filler = await fill(place.session)
        finally:
            operator.thaw()
        assert plane.alarms() == ["NOSPACE"]
        # What it did not answer while it was frozen is not its fault.
        everyone = {("default", name) for name in (*ending, *beginning)}
        await asyncio.to_thread(until, lambda: logged_as_full(operator.log()) == everyone)
        probed.health.clear()
        moments = [probed.read()]
        for _ in range(2):
            await asyncio.sleep(FULL_SECONDS)  # requests in a period can only be counted after it
            moments.append(probed.read())
        first, second = (grown(one, two) for one, two in pairwise(moments))
        print(f"\n{len(filler)} ConfigMaps filled it; {FULL_SECONDS:.0f} s: {dict(first)}, then {dict(second)}")
        # A run that is to begin is read each time before its Workflow is created.
        assert first.total() < TRIES * 3 * UNDER_WAY
        assert 0 < second.total() < first.total() / 2, "ever more slowly"
        assert not any(finished(place.world.versions["run", name][-1]) for name in ending)
        alerts_of_failed_writes(moments)

        began = time.monotonic()
        await at_once(lambda name: place.world.call("DELETE", f"/api/v1/namespaces/default/configmaps/{name}"), filler)
        await asyncio.to_thread(plane.relieve)
        assert plane.alarms() == []
        await place.until_all("run", ending, lambda run: phase(run) == "Succeeded")
        await place.until_all("workflow", beginning, bool)
        print(f"all is written {time.monotonic() - began:.1f} s after there was room")
        await at_once(lambda name: place.play_argo(name, "Running"), beginning)
        await at_once(lambda name: place.play_argo(name, "Succeeded"), beginning)
        await place.until_all("run", beginning, lambda run: phase(run) == "Succeeded")
        assert {
            name: len(place.workflows(name)) for name in (*ending, *beginning) if len(place.workflows(name)) != 1
        } == {}
        assert [key for key in place.world.gone if key[0] == "workflow"] == []
        await asyncio.to_thread(probed.wait, at_rest)


async def fill(session: aiohttp.ClientSession) -> list[str]:
    """Fill etcd with ConfigMaps until it takes nothing more; gives their names."""
    names: list[str] = []
    for number in range(200):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"large-{number}"}}
        content = {"data": {"text": "x" * 900_000}}
        async with session.post("/api/v1/namespaces/default/configmaps", json=body | content) as reply:
            if reply.status != 201:
                assert FULL in (text := await reply.text()), text
                return names
        names.append(f"large-{number}")
    raise AssertionError("etcd took 180 MB, and its quota is 32 MiB")


def logged_as_full(log: list[dict[str, object]]) -> set[tuple[object, object]]:
    """Runs for which the operator logged that etcd is full and that it tries again."""
    return {
        (line.get("namespace"), line.get("run"))
        for line in log
        if line["level"] == "warning" and FULL in str(line["message"]) and "trying again in" in str(line["message"])
    }


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Return as soon as that is so. There is nothing to watch: it is asked again and again."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"it did not come in {seconds:.0f} s"
        time.sleep(0.1)


def alerts_of_failed_writes(moments: list[Metrics]) -> None:
    """Fails unless what the two alerts on failures select is there, and beyond what they compare with."""
    first, last = moments[0], moments[-1]
    rule = alert("RunwrightApiErrors")
    failing, every = rule.selectors[:2]
    share, rate = rule.thresholds
    assert failing.startswith(f"{REQUESTS}{{")
    for verb in ("create", "patch"):
        failed, asked = (last.by(one, "verb")[verb] - first.by(one, "verb")[verb] for one in (failing, every))
        print(f"{verb}: {failed:.0f} of {asked:.0f} requests failed in {last.at - first.at:.0f} s")
        assert failed > share * asked
        assert asked > rate * (last.at - first.at)
        # Once every run is tried once a minute only, it fires still.
        assert rate < UNDER_WAY / 60
    rule = alert("RunwrightReconcileErrors")
    (selector,), (threshold,) = rule.selectors, rule.thresholds
    reasons = last.by(selector, "reason")
    print(f"errors by reason: {dict(reasons)}")
    assert max(reasons.values()) > threshold


# -------------------------------------------------------------------------------------------------------------- no Argo
@pytest.mark.xdist_group("load")
@pytest.mark.timeout(900)
def test_runs_wait_while_argo_is_down(stage: ControlPlane):
    """No Argo: the runs wait, and the operator with them. Once it is back, all of them end."""
    stage.kubectl("create", "namespace", "no-argo")
    with Probed(stage.kubeconfig, "--namespace=no-argo") as probed:
        asyncio.run(
            wait_for_argo(stage, probed, float(os.environ.get("OVERLOAD_ARGO_DOWN_SECONDS") or ARGO_DOWN_SECONDS))
        )
        probed.check()


async def wait_for_argo(plane: ControlPlane, probed: Probed, seconds: float) -> None:
    names = [f"waits-{number}" for number in range(100)]
    async with asyncio.timeout(seconds + 120), seen_from(plane, "no-argo") as place:
        await at_once(place.create, names)
        await place.until_all("run", names, lambda run: phase(run) == "Pending")
        before = await asyncio.to_thread(probed.wait, at_rest)
        await asyncio.sleep(seconds)  # that nothing happens can only be waited for
        after = probed.read()
        asked = grown(before, after)
        print(f"\nno Argo for {seconds:.0f} s: {dict(asked)} requests for {len(names)} runs")
        assert asked.total() <= 6 * (1 + seconds / 300), "it waits, and does not ask about each of them"
        for name in names:
            run = place.world.versions["run", name][-1]
            assert (phase(run), stalled(run)) == ("Pending", ""), run
            assert run["status"]["workflow"]["name"] == name
            assert condition(run, "Succeeded")["status"] == "Unknown"
        assert after.value('runwright_runs{namespace="no-argo",phase="Pending"}') == len(names)
        assert after.value("runwright_run_queue_seconds_count") == 0
        # It grows by a second a second, to beyond what the alert compares with.
        rule = alert("RunwrightArgoIdle")
        (selector,), (threshold,) = rule.selectors, rule.thresholds
        waited = after.value(selector)
        print(f"{selector} is {waited:.1f}; the alert's threshold is {threshold:.0f}")
        assert waited > seconds
        assert abs(waited - before.value(selector) - (after.at - before.at)) < 1
        assert waited > threshold or seconds <= threshold

        began = time.monotonic()
        await at_once(lambda name: place.play_argo(name, "Running"), names)
        await at_once(lambda name: place.play_argo(name, "Succeeded"), names)
        await place.until_all("run", names, lambda run: phase(run) == "Succeeded")
        print(f"all have ended {time.monotonic() - began:.1f} s after Argo came back")
        ended = 'runwright_runs{namespace="no-argo",phase="Succeeded"}'
        end = await asyncio.to_thread(probed.wait, lambda now: sum(now.by(ended).values()) == len(names))
        assert end.value("runwright_run_queue_seconds_count") == len(names)
        assert end.value(selector) == 0
        assert end.value("runwright_run_queue_seconds_sum") >= len(names) * (seconds - 1)
        assert {len(place.workflows(name)) for name in names} == {1}


# -------------------------------------------------------------------------------------------------------------- no pods
def test_a_quota_of_no_pods_is_reported_and_the_run_continues_without_it(
    kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun
):
    """Argo (3.7) waits for a place and says so of the node; so does the run. With the quota gone, it goes on by itself."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-pods"},
        "spec": {"hard": {"pods": "0"}},
    }
    apply(quota)
    kubectl.wait(
        namespace, "resourcequota", "no-pods", lambda one: (one.get("status") or {}).get("hard") == {"pods": "0"}
    )
    apply(pipeline_run({"spec": one_step()}))
    run = wait_run("run", lambda one: any("exceeded quota" in text for text in messages(one)))
    print("\n", run["status"])
    assert phase(run) == "Running"
    assert condition(run, "Succeeded")["status"] == "Unknown"
    (node,) = run["status"]["nodes"]
    assert (node["type"], node["phase"]) == ("Pod", "Pending")
    assert "no-pods" in node["message"], "which quota it is"
    kubectl("delete", "-n", namespace, "resourcequota", "no-pods")
    began = time.monotonic()
    run = wait_run("run", "Succeeded")
    print(f"Succeeded {time.monotonic() - began:.1f} s after the quota was gone")
    assert messages(run) == []


def messages(run: Object) -> list[str]:
    """What the run's nodes say."""
    return [node["message"] for node in (run.get("status") or {}).get("nodes") or () if node.get("message")]
