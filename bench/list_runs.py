"""ListRuns of `runwright serve` compared with the SQL of KFP 1.8.22 in MariaDB, and the cost of a replica.

    python -m bench.list_runs --sizes 10000,100000,200000

Fills the cluster of KUBECONFIG with PipelineRuns. Use a cluster without an operator, and delete it afterwards. MariaDB (Debian:
mariadb-server-core, mariadb-client-core) runs in a temporary folder, on a socket. KFP's figures are the time of its SQL in the
database alone, without its API server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bench.__main__ import machine
from bench.cluster import kubeconfig, session_for
from bench.progress import show_progress
from runwright.service.manifests import ref_by_digest
from tests.e2e.manifests import one_step, workflow
from tests.e2e.process_usage import read_process
from tests.e2e.processes import Serve

NAMESPACES = 20
AT_A_TIME = 48
TRIES = 15
CREATED = 400
MANIFEST = json.dumps(workflow(one_step("echo " + "x" * 1500)))
RUNTIME_BYTES = 6000
"""Size of the Workflow that KFP keeps in each row: a run of a few nodes."""

GROUP = "/apis/runwright.dev/v1alpha1"
EPOCH = 1_700_000_000


# ------------------------------------------------------------------------------------------------------------------- Runwright
def run_body(number: int) -> dict[str, Any]:
    """A run as the service creates it, about 2 KB with its status."""
    namespace = f"bench-{number % NAMESPACES}"
    ref = ref_by_digest(namespace, MANIFEST)
    source = {"pipelineManifestRef": {"name": ref.name}, "digest": ref.digest}
    return {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "PipelineRun",
        "metadata": {"name": f"run-{number}", "namespace": namespace},
        "spec": {
            "displayName": f"Nightly {number}",
            "description": "A run of the measurement",
            "workflow": {"manifestFrom": source},
            "parameters": [{"name": "rows", "value": str(number)}],
            "references": [{"type": "EXPERIMENT", "id": f"experiment-{number % 100}", "relationship": "OWNER"}],
        },
    }


def status_body(number: int) -> dict[str, Any]:
    """A status as the operator writes it."""
    condition = {
        "type": "Succeeded",
        "status": "True",
        "reason": "Succeeded",
        "message": "",
        "lastTransitionTime": "2026-11-26T10:00:00Z",
    }
    phase = "Failed" if number % 10 == 0 else "Succeeded"
    metrics = [{"name": name, "nodeID": f"run-{number}", "value": number / 7} for name in ("accuracy", "loss")]
    times = {"startedAt": "2026-11-26T10:00:00Z", "finishedAt": "2026-11-26T10:05:00Z", "duration": "5m0s"}
    return {"status": {"phase": phase, "conditions": [condition], "metrics": metrics, "progress": "3/3", **times}}


async def fill(session: aiohttp.ClientSession, first: int, last: int) -> None:
    """Create the runs `first` to `last - 1` with their status."""
    numbers, done, began = iter(range(first, last)), 0, time.monotonic()

    async def worker() -> None:
        nonlocal done
        for number in numbers:
            body = run_body(number)
            path = f"{GROUP}/namespaces/{body['metadata']['namespace']}/pipelineruns"
            await send(session, "POST", path, body)
            await send(session, "PATCH", f"{path}/run-{number}/status", status_body(number))
            done += 1
            if done % 1000 == 0:
                rate = done / (time.monotonic() - began)
                show_progress(f"{first + done} of {last} runs, {rate:.0f}/s")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME):
            group.create_task(worker())


async def send(session: aiohttp.ClientSession, verb: str, path: str, body: Any) -> Any:
    """Send one request; an object that already exists (409) is no error."""
    headers = {"Content-Type": "application/merge-patch+json"} if verb == "PATCH" else {}
    async with session.request(verb, path, json=body, headers=headers) as reply:
        text = await reply.text()
        if reply.status >= 300 and reply.status != 409:
            raise RuntimeError(f"{verb} {path}: {reply.status}: {text[:300]}")
        return json.loads(text)


async def prepare(session: aiohttp.ClientSession) -> str:
    """Create the namespaces with the manifest; gives the token of a service account with cluster-admin."""
    for number in range(NAMESPACES):
        name = f"bench-{number}"
        ref = ref_by_digest(name, MANIFEST)
        await send(session, "POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        shared = {"apiVersion": "runwright.dev/v1alpha1", "kind": "PipelineManifest"}
        shared |= {"metadata": {"name": ref.name}, "manifest": MANIFEST}
        await send(session, "POST", f"{GROUP}/namespaces/{name}/pipelinemanifests", shared)
    account = "/api/v1/namespaces/bench-0/serviceaccounts"
    await send(session, "POST", account, {"metadata": {"name": "lister"}})
    binding = {
        "metadata": {"name": "bench-lister"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "lister", "namespace": "bench-0"}],
    }
    await send(session, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    request = {"spec": {"expirationSeconds": 7200}}
    return (await send(session, "POST", f"{account}/lister/token", request))["status"]["token"]


async def measure_service(token: str, count: int) -> dict[str, float]:
    """Milliseconds per kind of page, and start time and memory of the replica."""
    with Serve(kubeconfig()) as serve:
        began = time.monotonic()
        serve.start()
        serve.wait_log(f"{count} pipelineruns listed in", timeout=600)
        found = {"cold start s": time.monotonic() - began, "memory MiB": read_process(serve.pid).resident}
        timeout, headers = aiohttp.ClientTimeout(total=120), {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(serve.url, headers=headers, timeout=timeout) as session:

            async def page(**query: str) -> Any:
                async with session.get("/apis/v1beta1/runs", params=query) as reply:
                    body = await reply.json()
                    assert reply.status == 200, body
                    return body

            first = {"page_size": "20", "sort_by": "created_at desc"}
            began = time.monotonic()
            assert (await page(**first))["total_size"] == count
            found["very first page ms"] = 1000 * (time.monotonic() - began)
            found["first page ms"] = await timed(lambda: page(**first))
            token_at, seen = (await page(**first | {"page_size": "200"}))["next_page_token"], 200
            while seen < count // 2:
                token_at, seen = (
                    (await page(**first | {"page_size": "200", "page_token": token_at}))["next_page_token"],
                    seen + 200,
                )
            found["deep page ms"] = await timed(lambda: page(**first, page_token=token_at))
            substring = json.dumps({"predicates": [{"op": "IS_SUBSTRING", "key": "name", "string_value": "ghtly 777"}]})
            found["filtered by name ms"] = await timed(lambda: page(**first, filter=substring))
            failed = json.dumps({"predicates": [{"op": "EQUALS", "key": "status", "string_value": "Failed"}]})
            found["filtered by status ms"] = await timed(lambda: page(**first, filter=failed))
            key = {"resource_reference_key.type": "NAMESPACE", "resource_reference_key.id": "bench-7"}
            found["of a namespace ms"] = await timed(lambda: page(**first, **key))
            found["created a second"] = await creation_rate(session)
        found["memory after MiB"] = read_process(serve.pid).resident
    return found


async def creation_rate(session: aiohttp.ClientSession) -> float:
    """CreateRun calls per second, 16 at a time, through one replica."""
    owner = {"key": {"type": "NAMESPACE", "id": "bench-0"}, "relationship": "OWNER"}
    body = {"name": f"speed {uuid.uuid4().hex[:6]}", "resource_references": [owner]}
    async with session.post("/apis/v1beta1/experiments", json=body) as reply:
        experiment = (await reply.json())["id"]
    reference = {"key": {"type": "EXPERIMENT", "id": experiment}, "relationship": "OWNER"}
    request = {"name": "speed", "pipeline_spec": {"workflow_manifest": MANIFEST}, "resource_references": [reference]}
    numbers, began, made = iter(range(CREATED)), time.monotonic(), list[str]()

    async def worker() -> None:
        for _ in numbers:
            async with session.post("/apis/v1beta1/runs", json=request) as reply:
                assert reply.status == 200, await reply.text()
                made.append((await reply.json())["run"]["id"])

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(worker())
    rate = CREATED / (time.monotonic() - began)
    for id in made:  # restore the former count
        async with session.delete(f"/apis/v1beta1/runs/{id}") as reply:
            assert reply.status == 200, await reply.text()
    return rate


async def timed(request: Callable[[], Any]) -> float:
    """Median duration in milliseconds."""
    took: list[float] = []
    for _ in range(TRIES):
        began = time.perf_counter()
        await request()
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took)


# ------------------------------------------------------------------------------------------------------------------- KFP
COLUMNS = [
    "UUID",
    "ExperimentUUID",
    "DisplayName",
    "Name",
    "StorageState",
    "Namespace",
    "ServiceAccount",
    "Description",
    "CreatedAtInSec",
    "ScheduledAtInSec",
    "FinishedAtInSec",
    "Conditions",
    "PipelineId",
    "PipelineName",
    "PipelineSpecManifest",
    "WorkflowSpecManifest",
    "Parameters",
    "PipelineRuntimeManifest",
    "WorkflowRuntimeManifest",
]
NUMBERS = ("CreatedAtInSec", "ScheduledAtInSec", "FinishedAtInSec")
TEXTS = (
    "PipelineSpecManifest",
    "WorkflowSpecManifest",
    "Parameters",
    "PipelineRuntimeManifest",
    "WorkflowRuntimeManifest",
)


class Database:
    """The tables of KFP 1.8.22 for runs, in a temporary MariaDB."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "socket"
        self._folder = folder

    def sql(self, text: str) -> str:
        """Run statements; gives their output, tab-separated. Raises RuntimeError if one fails."""
        command = ["mariadb", "--no-defaults", f"--socket={self._socket}", "--user=root", "--batch", "--database=kfp"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-500:])
        return done.stdout

    def create(self) -> None:
        """Create the tables with the columns and indexes of KFP's API server."""
        kinds = {name: "bigint NOT NULL" for name in NUMBERS} | {name: "longtext NOT NULL" for name in TEXTS}
        columns = ", ".join(f"{name} {kinds.get(name, 'varchar(255) NOT NULL')}" for name in COLUMNS)
        self.sql(
            f"CREATE TABLE run_details ({columns}, PRIMARY KEY (UUID), "
            "KEY experimentuuid_createatinsec (ExperimentUUID, CreatedAtInSec), "
            "KEY experimentuuid_conditions_finishedatinsec (ExperimentUUID, Conditions, FinishedAtInSec));"
            "CREATE TABLE resource_references (ResourceUUID varchar(255), ResourceType varchar(255), "
            "ReferenceUUID varchar(255), ReferenceName varchar(255), ReferenceType varchar(255), Relationship varchar(255), "
            "Payload longtext, PRIMARY KEY (ResourceUUID, ResourceType, ReferenceType), "
            "KEY referencefilter (ResourceType, ReferenceUUID, ReferenceType));"
            "CREATE TABLE run_metrics (RunUUID varchar(255), NodeID varchar(255), Name varchar(255), NumberValue double, "
            "Format varchar(255), Payload longtext, PRIMARY KEY (RunUUID, NodeID, Name));"
        )

    def fill(self, first: int, last: int) -> None:
        """Insert the rows of the runs `first` to `last - 1`."""
        for start in range(first, last, 1000):
            end = min(last, start + 1000) - 1
            values = ", ".join(
                {
                    "UUID": "id",
                    "ExperimentUUID": "CONCAT('experiment-', seq % 100)",
                    "DisplayName": "CONCAT('Nightly ', seq)",
                    "Name": "CONCAT('run-', seq)",
                    "StorageState": "'STORAGESTATE_AVAILABLE'",
                    "Namespace": f"CONCAT('bench-', seq % {NAMESPACES})",
                    "Description": "'A run of the measurement'",
                    "CreatedAtInSec": f"{EPOCH} + seq",
                    "Conditions": "IF(seq % 10 = 0, 'Failed', 'Succeeded')",
                    "WorkflowSpecManifest": f"'{MANIFEST}'",
                    "WorkflowRuntimeManifest": f"REPEAT('x', {RUNTIME_BYTES})",
                }.get(name, "0" if name in NUMBERS else "''")
                for name in COLUMNS
            )
            rows = f"(SELECT seq, SHA2(seq, 256) AS id FROM seq_{start}_to_{end}) AS s"
            payload = 'CONCAT(\'{"Name": "accuracy", "NumberValue": \', seq, \'}\')'
            self.sql(
                f"INSERT INTO run_details ({', '.join(COLUMNS)}) SELECT {values} FROM {rows};"
                f"INSERT INTO resource_references SELECT id, 'Run', CONCAT('experiment-', seq % 100), '', 'Experiment', "
                f"'Owner', '{{}}' FROM {rows};"
                f"INSERT INTO run_metrics SELECT id, 'node', 'accuracy', seq, 'RAW', {payload} FROM {rows};"
            )
            if start % 10_000 == 0:
                show_progress(f"{end + 1} of {last} rows")
        self.sql("ANALYZE TABLE run_details, resource_references, run_metrics;")

    def list(self, where: str) -> float:
        """Median duration in milliseconds of ListRuns' two queries (KFP 1.8.22, run_store.go), newest first."""
        inner = f"SELECT {', '.join(COLUMNS)} FROM run_details {where} ORDER BY CreatedAtInSec DESC, UUID DESC LIMIT 21"
        refs = (
            f"SELECT {', '.join(f'rd.{name}' for name in COLUMNS)}, CONCAT('[', GROUP_CONCAT(rr.Payload SEPARATOR ','), ']') "
            f"AS refs FROM ({inner}) AS rd LEFT JOIN resource_references AS rr ON rr.ResourceType = 'Run' AND "
            "rd.UUID = rr.ResourceUUID GROUP BY rd.UUID"
        )
        rows = (
            f"SELECT {', '.join(f'subq.{name}' for name in COLUMNS)}, subq.refs, CONCAT('[', GROUP_CONCAT(rm.Payload "
            f"SEPARATOR ','), ']') AS metrics FROM ({refs}) AS subq LEFT JOIN run_metrics AS rm ON subq.UUID = rm.RunUUID "
            "GROUP BY subq.UUID ORDER BY CreatedAtInSec DESC, UUID DESC"
        )
        count = f"SELECT count(*) FROM run_details {where.partition('/*page*/')[0]}"
        took: list[float] = []
        for _ in range(TRIES):
            output = self.sql(f"SET profiling = 1; {rows}; {count}; SHOW PROFILES;")
            profiles = output[output.rindex("Query_ID") :].splitlines()[1:]
            took.append(1000 * sum(float(line.split("\t")[1]) for line in profiles))
        return statistics.median(took)


@contextmanager
def database() -> Iterator[Database | None]:
    """Runs MariaDB; gives None if it is not installed."""
    if shutil.which("mariadbd") is None or shutil.which("mariadb-install-db") is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="kfp-") as name:
        folder = Path(name)
        shutil.chown(folder, "nobody") if os.getuid() == 0 else None
        user = ["--user=nobody"] if os.getuid() == 0 else []
        data = [f"--datadir={folder / 'data'}", *user]
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", *data],
            check=True,
            capture_output=True,
        )
        options = [f"--socket={folder / 'socket'}", "--skip-networking", "--innodb-buffer-pool-size=2G"]
        options += ["--max-allowed-packet=64M", "--group-concat-max-len=4194304", f"--pid-file={folder / 'pid'}"]
        log = (folder / "log").open("wb")
        server = subprocess.Popen(["mariadbd", "--no-defaults", *data, *options], stdout=log, stderr=log)
        try:
            found = Database(folder)
            for _ in range(150):
                with_ping = subprocess.run(
                    ["mariadb", "--no-defaults", f"--socket={folder / 'socket'}", "--user=root"],
                    input="CREATE DATABASE IF NOT EXISTS kfp;",
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if with_ping.returncode == 0:
                    break
                time.sleep(0.2)
            else:
                raise RuntimeError((folder / "log").read_text()[-1000:])
            found.create()
            yield found
        finally:
            server.terminate()
            server.wait()


def measure_kfp(held: Database, count: int) -> dict[str, float]:
    """Milliseconds per kind of page."""
    middle = EPOCH + count // 2
    return {
        "first page ms": held.list(""),
        "deep page ms": held.list(f"/*page*/ WHERE CreatedAtInSec < {middle}"),
        "filtered by name ms": held.list("WHERE DisplayName LIKE '%ghtly 777%'"),
        "filtered by status ms": held.list("WHERE Conditions = 'Failed'"),
        "of a namespace ms": held.list("WHERE Namespace = 'bench-7'"),
    }


# -------------------------------------------------------------------------------------------------------------------- both
async def measure(sizes: list[int]) -> None:
    """Fill the cluster to each size, measure, and print one line per figure."""
    print(f"machine: {machine()}\ncommand: python -m bench.list_runs --sizes {','.join(map(str, sizes))}", flush=True)
    with database() as held:
        async with session_for(kubeconfig(), AT_A_TIME) as session:
            token, before = await prepare(session), 0
            for count in sizes:
                await fill(session, before, count)
                if held is not None:
                    await asyncio.to_thread(held.fill, before, count)
                before = count
                service = await measure_service(token, count)
                kfp = await asyncio.to_thread(measure_kfp, held, count) if held is not None else {}
                print(f"\r{count} runs{' ' * 40}")
                for name, value in service.items():
                    ratio = f"; KFP's SQL {kfp[name]:.1f}, ratio {value / kfp[name]:.3f}" if name in kfp else ""
                    print(f"  {name:<24} {value:>9.1f}{ratio}", flush=True)
    if held is None:
        print("KFP: not measured, because mariadbd is not on PATH")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.list_runs", description=__doc__)
    parser.add_argument(
        "--sizes", default="10000,100000,200000", help="numbers of runs, separated by commas (default: %(default)s)"
    )
    sizes = sorted({int(one) for one in parser.parse_args().sizes.split(",")})
    if not sizes or sizes[0] < 1000 or sizes[-1] > 200_000:
        parser.error("--sizes: expected numbers from 1000 to 200000, separated by commas")
    asyncio.run(measure(sizes))


if __name__ == "__main__":
    main()
