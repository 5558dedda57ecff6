"""Manifests are stored once, read through a cache, and swept when no run uses them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from runwright.api.labels import MANIFEST_LABEL, USED_AT
from runwright.api.resources import PIPELINE_MANIFESTS
from runwright.core.workflow.manifest import digest_of
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.kube.resource import CONFIG_MAPS
from runwright.kube.supervise import Backoff, Supervisor
from runwright.service import manifests
from runwright.service.contract.run_pb2 import (
    DeleteRunRequest,
)
from runwright.service.errors import Code, ServiceError
from runwright.service.manifests import RENEWAL, UNUSED, ref_by_digest
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
    assert not it.all(PIPELINE_MANIFESTS)


async def test_a_sweep_keeps_a_manifest_that_was_used_lately():
    it = Bench()
    id = await create_run(it)
    await it.call("RunService/DeleteRun", DeleteRunRequest(id=id))
    assert await it.manifests.sweep(set) == 0, "it was used a moment ago"
    it.clock.on(timedelta(minutes=59))
    it.manifests._known.clear()
    await create_run(it)
    (shared,) = it.all(PIPELINE_MANIFESTS)
    assert shared["metadata"]["annotations"][USED_AT] == it.clock.now().isoformat()
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
        if call == "delete pipelinemanifests":
            (one,) = it.all(PIPELINE_MANIFESTS)
            one["metadata"]["resourceVersion"] = "999"

    it.client.before = renew
    assert await it.manifests.sweep(set) == 0
    assert len(it.all(PIPELINE_MANIFESTS)) == 1


# ------------------------------------------------------------------------------------------------------------------ store
async def test_a_manifest_is_stored_once_and_its_second_use_is_recorded_for_a_minute():
    it = Bench()
    first = await it.manifests.store("team", MANIFEST_TEXT)
    assert first.created is not None and USED_AT not in first.created["metadata"].get("annotations", {})
    second = await it.manifests.store("team", MANIFEST_TEXT)
    assert (second.key, second.created) == (first.key, None)
    (shared,) = it.all(PIPELINE_MANIFESTS)
    assert shared["metadata"]["annotations"][USED_AT] == it.clock.now().isoformat()
    assert await it.manifests.store("team", MANIFEST_TEXT) == second
    create, get, patch = (f"{verb} pipelinemanifests" for verb in ("create", "get", "patch"))
    assert it.client.calls == [get, create, get, patch]
    assert (await it.manifests.store("other", MANIFEST_TEXT)).key != first.key
    assert len(it.all(PIPELINE_MANIFESTS)) == 2


async def test_stores_at_the_same_time_create_one():
    it = Bench()
    stored = await asyncio.gather(*(it.manifests.store("team", MANIFEST_TEXT) for _ in range(8)))
    assert len([one for one in stored if one.created]) == len(it.all(PIPELINE_MANIFESTS)) == 1


async def test_discard_deletes_what_this_call_created_while_nobody_uses_it():
    it = Bench()
    first = await it.manifests.store("team", MANIFEST_TEXT)
    second = await it.manifests.store("team", MANIFEST_TEXT)
    for one in (first, second):
        await it.manifests.discard(one)
        assert len(it.all(PIPELINE_MANIFESTS)) == 1, "the second call creates a run with it"
    alone = await it.manifests.store("team", "another")
    await it.manifests.discard(alone)
    assert len(it.all(PIPELINE_MANIFESTS)) == 1
    used = await it.manifests.store("team", "third")
    label = {MANIFEST_LABEL: used.key.name.removeprefix("sha256-")[:32]}
    it.server.create("PipelineRun", {"metadata": {"namespace": "team", "name": "r", "labels": label}, "spec": {}})
    await it.manifests.discard(used)
    assert len(it.all(PIPELINE_MANIFESTS)) == 2, "a run uses it"


async def test_discard_leaves_to_the_sweep_what_it_cannot_delete(caplog: pytest.LogCaptureFixture):
    it = Bench()
    stored = await it.manifests.store("team", MANIFEST_TEXT)
    it.client.fail("delete pipelinemanifests", ApiError(500, "InternalError", "etcd"))
    await it.manifests.discard(stored)
    assert "is left to the sweep" in caplog.text
    assert await it.manifests.sweep(set) == 0
    it.clock.on(2 * UNUSED)
    assert await it.manifests.sweep(set) == 1


async def test_a_sweep_leaves_alone_what_a_user_created():
    it = Bench()
    for name in ("mine", "sha256-0"):
        for labels in ({}, {MANIFEST_LABEL: "true"}, {MANIFEST_LABEL: ""}):
            metadata = {"namespace": "team", "name": f"{name}{len(labels)}{len(str(labels))}", "labels": labels}
            it.server.create("PipelineManifest", {"metadata": metadata, "manifest": "x"})
    it.clock.on(2 * UNUSED)
    assert await it.manifests.sweep(set) == 0


async def test_a_manifest_that_is_deleted_while_it_is_renewed_is_created_again():
    it = Bench()
    await it.manifests.store("team", MANIFEST_TEXT)
    it.clock.on(2 * RENEWAL)

    def sweep(call: str) -> None:
        if call == "patch pipelinemanifests":
            (one,) = it.all(PIPELINE_MANIFESTS)
            it.server.delete("PipelineManifest", "team", one["metadata"]["name"])
            it.client.before = lambda call: None

    it.client.before = sweep
    assert (await it.manifests.store("team", MANIFEST_TEXT)).created is not None
    assert await it.manifests.read(ref_by_digest("team", MANIFEST_TEXT)) == MANIFEST_TEXT


async def test_another_object_in_the_place_of_a_manifest_is_an_error():
    it = Bench()
    ref = ref_by_digest("team", MANIFEST_TEXT)
    it.server.create("PipelineManifest", {"metadata": {"namespace": "team", "name": ref.name}, "manifest": "x"})
    with pytest.raises(ServiceError, match="delete it, it is not ours") as caught:
        await it.manifests.store("team", MANIFEST_TEXT)
    assert caught.value.code == Code.FAILED_PRECONDITION


# ------------------------------------------------------------------------------------------------------------------- read
async def test_readers_at_the_same_time_make_one_request_and_later_ones_none():
    it = Bench()
    ref = ref_by_digest("team", MANIFEST_TEXT)
    await it.manifests.store("team", MANIFEST_TEXT)
    it.client.calls.clear()
    assert set(await asyncio.gather(*(it.manifests.read(ref) for _ in range(50)))) == {MANIFEST_TEXT}
    assert await it.manifests.read(ref) == MANIFEST_TEXT
    assert it.client.calls == ["get pipelinemanifests"]


async def test_a_manifest_that_is_missing_or_has_another_digest_is_empty_and_not_cached():
    it = Bench()
    ref = ref_by_digest("team", MANIFEST_TEXT)
    assert await it.manifests.read(ref) == ""
    it.put(PIPELINE_MANIFESTS, {"metadata": {"namespace": "team", "name": ref.name}, "manifest": "edited"})
    assert await it.manifests.read(ref) == ""
    await it.manifests.store("other", MANIFEST_TEXT)
    assert it.manifests._cache.currsize == 0


async def test_a_manifest_without_a_digest_is_read_each_time():
    it = Bench()
    for text in ("first", "second"):
        it.put(PIPELINE_MANIFESTS, {"metadata": {"namespace": "team", "name": "mine"}, "manifest": text})
        it.put(CONFIG_MAPS, {"metadata": LABELED, "data": {"key": text}})
        for key in ("", "key"):
            assert await it.manifests.read(ManifestRef("team", "mine", key)) == text


LABELED = {"namespace": "team", "name": "mine", "labels": {MANIFEST_LABEL: "true"}}


@pytest.mark.parametrize("labels", [None, {}, {"other": "x"}])
async def test_a_config_map_without_the_label_is_not_shown(labels: dict[str, str] | None):
    it = Bench()
    it.put(CONFIG_MAPS, {"metadata": LABELED | {"labels": labels}, "data": {"key": "secret"}})
    for digest in ("", digest_of("secret")):
        assert await it.manifests.read(ManifestRef("team", "mine", "key", digest)) == ""


@pytest.mark.parametrize(
    ("code", "shown"), [(400, True), (403, True), (404, True), (422, True), (500, False), (0, False)]
)
async def test_one_manifest_that_cannot_be_read_is_shown_as_empty(code: int, shown: bool):
    it = Bench()
    it.client.fail("get pipelinemanifests", ApiError(code, "Reason", "no"))
    try:
        assert await it.manifests.read(ManifestRef("team", "mine")) == ""
    except ApiError:
        assert not shown
    else:
        assert shown


async def test_the_cache_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(manifests, "CACHE_BYTES", 10_000)
    it = Bench()
    refs = [ref_by_digest("team", str(number) * 2_000) for number in range(8)]
    for number, ref in enumerate(refs):
        await it.manifests.store("team", str(number) * 2_000)
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
    it.client.fail("list pipelinemanifests", ApiError(500, "InternalError", "etcd"))
    async with asyncio.timeout(5), Supervisor().group() as loops:
        it.manifests.start_sweeps(loops, set)
        while it.all(PIPELINE_MANIFESTS):  # noqa: ASYNC110 - the sweep has no event
            await asyncio.sleep(0.001)
    assert "loop manifests sweep failed: 500 InternalError: etcd" in caplog.text
