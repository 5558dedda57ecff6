"""Runs by id, and the mapping of the API server's refusals."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.api.resources import PIPELINE_RUNS
from runwright.kube.errors import ApiError
from runwright.kube.objects import Key
from runwright.service import runs as runs_module
from runwright.service.errors import Code, ServiceError
from runwright.service.runs import encode_workflow, workflow_json
from tests.unit.service.bench import Bench
from tests.unit.service.bodies import run_body


async def stored(it: Bench, **changes: Any) -> str:
    """Create a run without the service; returns its id."""
    created = await it.runs.create(run_body(**changes))
    return created["metadata"]["uid"]


async def test_a_created_run_is_found_and_listed_at_once():
    it = Bench()
    id = await stored(it)
    row = it.index.row(id)
    assert row is not None
    run = await it.runs.read(id, row.key)
    assert (run.id, run.key.name, len(it.index)) == (id, "train", 1)


async def test_an_edit_names_the_uid_and_puts_the_result_into_the_index():
    it = Bench()
    id = await stored(it)
    run = await it.runs.read(id, Key("team", "train"))
    await it.runs.edit(run, {"spec": {"description": "new"}})
    row = it.index.row(id)
    assert row is not None and row.description == "new"
    body = it.run()
    it.put(PIPELINE_RUNS, {**body, "metadata": {**body["metadata"], "uid": "another"}})
    with pytest.raises(ApiError, match="Conflict"):
        await it.runs.edit(run, {"spec": {"description": "newer"}})


async def test_a_run_that_was_deleted_is_not_found():
    it = Bench()
    id = await stored(it)
    run = await it.runs.read(id, Key("team", "train"))
    it.server.delete("PipelineRun", "team", "train")
    for call in (it.runs.read(id, run.key), it.runs.edit(run, {"spec": {}}), it.runs.delete(run)):
        with pytest.raises(ServiceError) as caught:
            await call
        assert caught.value.code == Code.NOT_FOUND


async def test_a_listed_run_is_read_where_its_manifest_is_inline():
    it = Bench()
    id = await stored(it, spec={"workflow": {"manifest": "inline"}})
    row = it.index.row(id)
    assert row is not None and (await it.runs.listed(row)).pipeline_spec.workflow_manifest == "inline"
    it.server.delete("PipelineRun", "team", "train")
    run = await it.runs.listed(row)
    assert (run.id, run.name, run.pipeline_spec.workflow_manifest) == (id, row.name, "")


async def test_a_listed_run_is_read_where_its_message_is_too_large_for_the_index():
    it = Bench()
    parameters = [{"name": f"p{number}", "value": "x" * 60_000} for number in range(10)]
    id = await stored(it, spec={"workflow": {"manifest": "inline"}, "parameters": parameters})
    row = it.index.row(id)
    assert row is not None and row.partial and len(row.message) < 200
    it.server.patch_status("PipelineRun", "team", "train", {"phase": "Succeeded"})
    run = await it.runs.listed(row)
    assert [len(one.value) for one in run.pipeline_spec.parameters] == [60_000] * 10
    assert (run.pipeline_spec.workflow_manifest, run.status) == ("inline", "Pending"), "the state that was filtered by"
    it.server.delete("PipelineRun", "team", "train")
    gone = await it.runs.listed(row)
    assert (gone.id, gone.name, len(gone.pipeline_spec.parameters)) == (id, row.name, 0)


async def test_compressed_nodes_are_decompressed():
    nodes = {"n": {"id": "n"}}
    packed = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
    shown = json.loads(await workflow_json({"status": {"phase": "Running", "compressedNodes": packed}}))
    assert shown["status"] == {"phase": "Running", "nodes": nodes}


@pytest.mark.parametrize("nodes", ["no base64", base64.b64encode(b"no gzip").decode(), 5])
def test_damaged_nodes_are_left_as_they_are(nodes: object):
    workflow = {"status": {"compressedNodes": nodes}}
    assert json.loads(encode_workflow(workflow)) == workflow


def test_lone_surrogates_are_replaced():
    assert "\ud800" not in encode_workflow({"spec": {"text": "\ud800"}})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(st.sampled_from(["spec", "metadata", "kind"]), json_values),
    st.dictionaries(st.sampled_from(["phase", "message"]), json_values),
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), json_values, max_size=6),
    st.integers(1, 4),
)
def test_a_workflow_is_encoded_node_by_node_as_it_is(outer: Any, status: Any, nodes: Any, few: int):
    workflow = {"status": {"nodes": nodes, **status}, **outer}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs_module, "FEW_NODES", few)
        assert json.loads(encode_workflow(workflow)) == json.loads(json.dumps(workflow))
        assert json.loads(encode_workflow(outer)) == json.loads(json.dumps(outer))
