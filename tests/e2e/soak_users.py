"""Users who create, end, retry and archive runs while all around them dies: they try again until the API server has taken it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable

import aiohttp

from tests.e2e.cluster import FINISHED, Object
from tests.e2e.manifests import of_spec, suspended
from tests.e2e.soak_judge import Plan
from tests.e2e.world import RUNS

GOING = "soak.runwright.dev/going"
"""Label of the runs that somebody still waits for: what the users list."""

STATE = "runwright.dev/storage-state"
AGAIN_SECONDS = 0.5
LOOK_SECONDS = 1.0

KINDS: tuple[tuple[str, Plan], ...] = (
    ("good", Plan("Succeeded")),
    ("archived", Plan("Succeeded", state="Archived")),
    ("late", Plan("Failed")),
    ("returned", Plan("Succeeded", state="Available")),
    ("retried", Plan("Failed", retries=1)),
    ("ended", Plan("Failed")),
    ("refused", Plan("Failed")),
)
"""What a run is for, in its name, and what is to come of it."""


class Users:
    """All of them, and what they last saw."""

    def __init__(self, session: aiohttp.ClientSession, seed: int, longest: float) -> None:
        """Workflows take `longest` seconds at most."""
        self._session, self._chance, self._longest = session, random.Random(seed), longest
        self._runs: dict[str, Object] = {}
        self._looked = asyncio.Condition()
        self.plans: dict[str, Plan] = {}
        self.done: set[str] = set()

    async def look(self) -> None:
        """See how the runs stand, again and again."""
        while True:
            listed = await self._ask("GET", f"{RUNS}?labelSelector={GOING}")
            async with self._looked:
                self._runs = {one["metadata"]["name"]: one for one in json.loads(listed)["items"]}
                self._looked.notify_all()
            await asyncio.sleep(LOOK_SECONDS)

    async def live(self, number: int) -> None:
        """One run, until all that is wanted of it has come."""
        kind, plan = KINDS[number % len(KINDS)]
        name = f"{kind}-{number}"
        self.plans[name] = plan
        await self._ask(
            "POST", RUNS, of_spec({"workflow": {"spec": self._workflow(kind)}}, name, labels={GOING: "yes"})
        )
        if kind == "ended":
            await self._until(name, "Running", *FINISHED)
            await self._edit(name, {"spec": {"shutdown": "Terminate"}})
        await self._until(name, *FINISHED)
        if kind == "retried":
            await self._edit(name, {"spec": {"retries": 1}})
            await self._until(name, *FINISHED, holds=lambda status: status.get("retries") == 1)
        for state in {"archived": ("Archived",), "returned": ("Archived", "Available")}.get(kind, ()):
            await self._edit(name, {"metadata": {"labels": {STATE: state}}})
            await self._until(name, *FINISHED, holds=lambda status, state=state: status.get("storageState") == state)
        await self._edit(name, {"metadata": {"labels": {GOING: None}}})
        self.done.add(name)

    def _workflow(self, kind: str) -> Object:
        """A WorkflowSpec without a pod."""
        seconds = self._chance.uniform(1, self._longest)
        if kind == "late":
            return suspended(activeDeadlineSeconds=int(seconds) + 1)
        if kind == "retried":
            return suspended(activeDeadlineSeconds=int(seconds / 2) + 1)
        if kind == "ended":
            return suspended()
        if kind == "refused":
            # Argo alone sees what is wrong with it: a loop over what is not a list.
            steps = [[{"name": "a", "template": "wait", "withParam": "no list"}]]
            templates = [{"name": "main", "steps": steps}, {"name": "wait", "suspend": {"duration": "0"}}]
            return {"entrypoint": "main", "templates": templates}
        return {"entrypoint": "main", "templates": [{"name": "main", "suspend": {"duration": f"{seconds:.0f}s"}}]}

    async def _until(self, name: str, *phases: str, holds: Callable[[Object], bool] = lambda _: True) -> None:
        async with self._looked:
            while True:
                status: Object = (self._runs.get(name) or {}).get("status") or {}
                if status.get("phase") in phases and holds(status):
                    return
                await self._looked.wait()

    async def _edit(self, name: str, patch: Object) -> None:
        await self._ask("PATCH", f"{RUNS}/{name}", patch)

    async def _ask(self, method: str, path: str, body: Object | None = None) -> str:
        """Until the API server has taken it. What it may have taken without saying so is the same when it is sent again."""
        headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
        while True:
            try:
                async with self._session.request(method, path, json=body, headers=headers) as reply:
                    text = await reply.text()
                    if reply.status < 300 or (method == "POST" and reply.status == 409):
                        return text
                    # A run that has ended by itself can no longer be shut down.
                    if reply.status == 422 and "shutdown" in text:
                        return text
                    assert reply.status == 429 or reply.status >= 500, f"{method} {path}: {reply.status} {text[:500]}"
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(AGAIN_SECONDS)
