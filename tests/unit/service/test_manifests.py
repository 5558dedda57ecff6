"""Manifests are stored once, read through a cache, and swept when no run uses them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kube.resource import CONFIG_MAPS
from runwright.kube.supervise import Backoff, Supervisor
from runwright.service import manifests
from runwright.service.contract.run_pb2 import (
    DeleteRunRequest,
)
from runwright.service.errors import Code, ServiceError
from runwright.service.manifests import RENEWAL, UNUSED, USED_AT, ref_by_digest
from runwright.service.present import ManifestRef
from tests.unit.service.bench import MANIFEST_TEXT, Bench
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


# ------------------------------------------------------------------------------------------------------------------ store
async def test_a_manifest_is_stored_once_and_not_read_again_for_a_minute():
    it = Bench()
    ref = await it.manifests.store("team", MANIFEST_TEXT)
    assert await it.manifests.store("team", MANIFEST_TEXT) == ref
    assert it.client.calls == ["get configmaps", "create configmaps"]
    assert await it.manifests.store("other", MANIFEST_TEXT) != ref
    assert len(it.all(CONFIG_MAPS)) == 2


async def test_a_manifest_that_is_deleted_while_it_is_renewed_is_created_again():
    it = Bench()
    await it.manifests.store("team", MANIFEST_TEXT)
    it.manifests._known.clear()
    it.clock.on(2 * RENEWAL)

    def sweep(call: str) -> None:
        if call == "patch configmaps":
            (one,) = it.all(CONFIG_MAPS)
            it.server.delete("ConfigMap", "team", one["metadata"]["name"])
            it.client.before = lambda call: None

    it.client.before = sweep
    ref = await it.manifests.store("team", MANIFEST_TEXT)
    assert await it.manifests.read(ref) == MANIFEST_TEXT


async def test_another_object_in_the_place_of_a_manifest_is_an_error():
    it = Bench()
    ref = ref_by_digest("team", MANIFEST_TEXT)
    it.server.create("ConfigMap", {"metadata": {"namespace": "team", "name": ref.name}, "data": {"manifest": "x"}})
    with pytest.raises(ServiceError, match="delete it, it is not ours") as caught:
        await it.manifests.store("team", MANIFEST_TEXT)
    assert caught.value.code == Code.FAILED_PRECONDITION


# ------------------------------------------------------------------------------------------------------------------- read
async def test_readers_at_the_same_time_make_one_request_and_later_ones_none():
    it = Bench()
    ref = await it.manifests.store("team", MANIFEST_TEXT)
    it.client.calls.clear()
    assert set(await asyncio.gather(*(it.manifests.read(ref) for _ in range(50)))) == {MANIFEST_TEXT}
    assert await it.manifests.read(ref) == MANIFEST_TEXT
    assert it.client.calls == ["get configmaps"]


async def test_a_manifest_that_is_missing_or_has_another_digest_is_empty_and_not_cached():
    it = Bench()
    ref = ref_by_digest("team", MANIFEST_TEXT)
    assert await it.manifests.read(ref) == ""
    it.put(CONFIG_MAPS, {"metadata": {"namespace": "team", "name": ref.name}, "data": {"manifest": "edited"}})
    assert await it.manifests.read(ref) == ""
    await it.manifests.store("other", MANIFEST_TEXT)
    assert it.manifests._cache.currsize == 0


async def test_a_manifest_without_a_digest_is_read_each_time():
    it = Bench()
    ref = ManifestRef("team", "mine", "key")
    for text in ("first", "second"):
        it.put(CONFIG_MAPS, {"metadata": {"namespace": "team", "name": "mine"}, "data": {"key": text}})
        assert await it.manifests.read(ref) == text


async def test_the_cache_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(manifests, "CACHE_BYTES", 10_000)
    it = Bench()
    refs = [await it.manifests.store("team", str(number) * 2_000) for number in range(8)]
    for ref in refs:
        await it.manifests.read(ref)
    assert 0 < it.manifests._cache.currsize <= 10_000
    assert refs[-1] in it.manifests._cache and refs[0] not in it.manifests._cache


async def test_an_error_ends_neither_the_sweeps_nor_is_it_silent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(manifests, "SWEEP_SECONDS", 0.1)
    monkeypatch.setattr(manifests, "BACKOFF", Backoff(0.001, 0.001))
    it = Bench()
    await it.manifests.store("team", MANIFEST_TEXT)
    it.clock.on(2 * UNUSED)
    it.client.fail("list configmaps", ApiError(500, "InternalError", "etcd"))
    async with asyncio.timeout(5), Supervisor().group() as loops:
        it.manifests.start_sweeps(loops, set)
        while it.all(CONFIG_MAPS):  # noqa: ASYNC110 - the sweep has no event
            await asyncio.sleep(0.001)
    assert "loop manifests sweep failed: 500 InternalError: etcd" in caplog.text
