"""Manifests are stored once, read through a cache, and swept when no run uses them."""

from __future__ import annotations

from datetime import timedelta

from runwright.kube.objects import Key
from runwright.kube.resource import CONFIG_MAPS
from runwright.service.contract.run_pb2 import (
    DeleteRunRequest,
)
from runwright.service.manifests import UNUSED, USED_AT
from tests.unit.service.bench import Bench
from tests.unit.service.requests import (
    create_run,
)


async def test_a_sweep_deletes_a_manifest_after_its_last_run():
    it = Bench()
    id = await create_run(it)

    def in_use() -> set[Key]:
        return {Key(row.manifest.namespace, row.manifest.name) for row in it.index.rows() if row.manifest}

    it.clock.on(2 * UNUSED)
    assert await it.manifests.sweep(in_use) == 0
    await it.call("RunService/DeleteRun", DeleteRunRequest(id=id))
    assert await it.manifests.sweep(lambda: None) == 0, "not while the index is incomplete"
    assert await it.manifests.sweep(in_use) == 1
    assert not it.all(CONFIG_MAPS)


async def test_a_sweep_keeps_a_manifest_that_was_used_lately():
    it = Bench()
    id = await create_run(it)
    await it.call("RunService/DeleteRun", DeleteRunRequest(id=id))
    assert await it.manifests.sweep(set) == 0, "it was used a moment ago"
    it.clock.on(timedelta(minutes=59))
    it.manifests._known.clear()
    await create_run(it)
    (config_map,) = it.all(CONFIG_MAPS)
    assert config_map["metadata"]["annotations"][USED_AT] == it.clock.now().isoformat()
    it.clock.on(timedelta(minutes=30))
    assert await it.manifests.sweep(set) == 0
    it.clock.on(UNUSED)
    assert await it.manifests.sweep(set) == 0, "the API server has a run that uses it"


async def test_a_sweep_keeps_a_manifest_that_was_renewed_after_the_list():
    it = Bench()
    id = await create_run(it)
    await it.call("RunService/DeleteRun", DeleteRunRequest(id=id))
    it.clock.on(2 * UNUSED)

    def renew(call: str) -> None:
        if call == "delete configmaps":
            (one,) = it.all(CONFIG_MAPS)
            one["metadata"]["resourceVersion"] = "999"

    it.client.before = renew
    assert await it.manifests.sweep(set) == 0
    assert len(it.all(CONFIG_MAPS)) == 1
