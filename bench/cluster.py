"""Client for the measured cluster: creates objects and records the moment of their watch events."""

from __future__ import annotations

import asyncio
import json
import os
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from runwright.kube.login import log_in
from tests.e2e.cluster import Object, finished
from tests.e2e.manifests import executor_rights

REPOSITORY = Path(__file__).resolve().parents[1]
RUNS = "/apis/runwright.dev/v1alpha1"
WORKFLOWS = "/apis/argoproj.io/v1alpha1"
TIMEOUT = 180.0
"""Time limit in seconds for any one object. A measurement that hangs fails."""

Event = Callable[[str, Object], None]


class Bench:
    """A namespace of its own, with watches on its PipelineRuns and Workflows."""

    def __init__(self, session: aiohttp.ClientSession, namespace: str) -> None:
        self._session, self.namespace = session, namespace
        self.version = self.argo = ""
        self._waiting: dict[tuple[str, str, str], asyncio.Future[float]] = {}

    def path(self, kind: str) -> str:
        """API path of the namespace's objects of a kind (`pipelineruns`, `workflows`)."""
        return f"{RUNS if kind == 'pipelineruns' else WORKFLOWS}/namespaces/{self.namespace}/{kind}"

    async def call(self, method: str, path: str, body: Object | None = None) -> Object:
        """Send one request. Raises RuntimeError with the API server's reply if it refuses."""
        return json.loads(await self.text(method, path, body))

    async def text(self, method: str, path: str, body: Object | None = None) -> str:
        """Send one request; gives the reply as text. Raises RuntimeError as `call`."""
        headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
        async with self._session.request(method, path, json=body, headers=headers) as reply:
            text = await reply.text()
            if reply.status >= 300:
                raise RuntimeError(f"{method} {path}: {reply.status}: {text[:500]}")
            return text

    async def create(self, kind: str, document: Object) -> float:
        """Create an object; gives the moment before the request."""
        before = time.perf_counter()
        await self.call("POST", self.path(kind), document)
        return before

    def expect(self, kind: str, name: str, moment: str) -> asyncio.Future[float]:
        """Moment of the watch event by which the object is `created` or `finished`. Call it before creating the object."""
        return self._waiting.setdefault((kind, name, moment), asyncio.get_running_loop().create_future())

    async def follow(self, kind: str, ready: asyncio.Event) -> None:
        """Watch a kind until cancelled."""
        listed = await self.call("GET", f"{self.path(kind)}?limit=1")
        since, timeout = listed["metadata"]["resourceVersion"], aiohttp.ClientTimeout(total=None, sock_read=None)
        while True:
            # The API server ends a watch that is read too slowly. The next one continues from the last version.
            path = f"{self.path(kind)}?watch=true&resourceVersion={since}&timeoutSeconds=3600"
            async with self._session.get(path, timeout=timeout) as reply:
                reply.raise_for_status()
                ready.set()
                async for line in reply.content:
                    event = json.loads(line)
                    self._record(kind, event)
                    since = event["object"]["metadata"]["resourceVersion"]

    def _record(self, kind: str, event: Object) -> None:
        now, found = time.perf_counter(), event["object"]
        if event["type"] == "ERROR":
            raise RuntimeError(f"the watch of {kind} ended: {found}")
        name = found["metadata"]["name"]
        for moment, holds in (("created", event["type"] == "ADDED"), ("finished", finished(found))):
            future = self._waiting.get((kind, name, moment))
            if holds and future is not None and not future.done():
                future.set_result(now)


@asynccontextmanager
async def session_for(path: Path, connections: int = 100) -> AsyncGenerator[aiohttp.ClientSession]:
    """A session with the API server of a kubeconfig, with at most this many connections."""
    login = await log_in(str(path))
    token = await login.token()
    async with aiohttp.ClientSession(
        login.server,
        connector=aiohttp.TCPConnector(ssl=login.ssl_context(), limit=connections),
        headers={"User-Agent": "bench"} | ({"Authorization": f"Bearer {token}"} if token else {}),
        timeout=aiohttp.ClientTimeout(total=60),
        read_bufsize=2**22,
    ) as session:
        yield session


@asynccontextmanager
async def follow_both(bench: Bench) -> AsyncGenerator[None]:
    """Watches the runs and Workflows of the namespace."""
    async with asyncio.TaskGroup() as group:
        ready = [asyncio.Event(), asyncio.Event()]
        watches = [
            group.create_task(bench.follow(kind, flag))
            for kind, flag in zip(("pipelineruns", "workflows"), ready, strict=True)
        ]
        for flag in ready:
            await asyncio.wait_for(flag.wait(), 30)
        try:
            yield
        finally:
            for watch in watches:
                watch.cancel()


@asynccontextmanager
async def open_bench() -> AsyncGenerator[Bench]:
    """Creates a namespace for the measurements and deletes it afterwards.

    Raises RuntimeError if the API server refuses a request.
    """
    async with session_for(kubeconfig()) as session:
        bench = Bench(session, f"bench-{uuid.uuid4().hex[:8]}")
        version = await bench.call("GET", "/version")
        bench.version = f"Kubernetes {version['gitVersion']}"
        bench.argo = await argo_version(bench)
        space, _, role, binding = executor_rights(bench.namespace)["items"]
        await bench.call("POST", "/api/v1/namespaces", space)
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{bench.namespace}"
        await bench.call("POST", f"{rbac}/roles", role)
        await bench.call("POST", f"{rbac}/rolebindings", binding)
        try:
            async with follow_both(bench):
                yield bench
        finally:
            await bench.call("DELETE", f"/api/v1/namespaces/{bench.namespace}")


def kubeconfig() -> Path:
    """The file that KUBECONFIG names, or the one of `make cluster`. Raises RuntimeError if it does not exist."""
    path = Path(os.environ.get("KUBECONFIG") or REPOSITORY / ".cluster" / "kubeconfig")
    if not path.exists():
        raise RuntimeError(f"no cluster: {path} does not exist. Set KUBECONFIG or run `make deploy`")
    return path


async def argo_version(bench: Bench) -> str:
    """Image and requeue time of Argo's controller. Every figure with pods includes the requeue time."""
    found = await bench.call("GET", "/apis/apps/v1/deployments?fieldSelector=metadata.name%3Dworkflow-controller")
    for deployment in found["items"]:
        (container, *_) = deployment["spec"]["template"]["spec"]["containers"]
        environment = {one["name"]: one.get("value") for one in container.get("env", ())}
        image = container["image"].rsplit("/", 1)[-1]
        return f"Argo {image} (DEFAULT_REQUEUE_TIME {environment.get('DEFAULT_REQUEUE_TIME', '10s')})"
    return "Argo of unknown version"
