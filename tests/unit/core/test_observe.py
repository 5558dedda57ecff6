from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.api.pipelinerun import PipelineRunStatus
from runwright.api.states import Phase, Shutdown
from runwright.core.records import SourceField
from runwright.core.run_record import read_run_status, run_record, source_digest
from runwright.core.workflow.record import MAX_NODES_BYTES, controller_reference, workflow_nodes, workflow_record
from runwright.kube.objects import Key, as_time, key_of
from tests.unit.core.strategies import JSON, NODES, WORKFLOW_STATUSES

OBJECTS = st.dictionaries(st.text(max_size=8), JSON, max_size=4)
METADATA = OBJECTS | st.fixed_dictionaries(
    {},
    optional={
        "name": JSON,
        "namespace": JSON,
        "uid": JSON,
        "resourceVersion": JSON,
        "generation": JSON,
        "creationTimestamp": JSON,
        "deletionTimestamp": JSON,
        "annotations": JSON,
        "ownerReferences": JSON
        | st.lists(st.fixed_dictionaries({"kind": st.just("PipelineRun"), "controller": st.just(True), "uid": JSON})),
    },
)


def packed(nodes: Any) -> str:
    return base64.b64encode(gzip.compress(json.dumps(nodes).encode(), mtime=0)).decode()


class TestAnything:
    @given(METADATA | JSON, JSON | WORKFLOW_STATUSES)
    def test_a_workflow_always_gives_a_record(self, metadata: Any, status: Any) -> None:
        record = workflow_record({"metadata": metadata, "status": status})
        assert record == workflow_record({"metadata": metadata, "status": status})

    @given(
        METADATA | JSON,
        JSON
        | st.fixed_dictionaries({}, optional={"workflow": JSON, "shutdown": JSON, "retries": JSON, "parameters": JSON}),
        JSON | st.fixed_dictionaries({}, optional={"phase": JSON, "conditions": JSON, "nodes": JSON}),
    )
    def test_a_run_always_gives_a_record(self, metadata: Any, spec: Any, status: Any) -> None:
        run_record({"metadata": metadata, "spec": spec, "status": status})

    @given(OBJECTS)
    def test_so_does_anything_else(self, body: dict[str, Any]) -> None:
        run_record(body)
        workflow_record(body)


class TestRun:
    BODY: ClassVar[Any] = {
        "metadata": {
            "namespace": "team",
            "name": "train",
            "uid": "u1",
            "resourceVersion": "12",
            "generation": 3,
            "creationTimestamp": "2026-11-24T12:00:00Z",
        },
        "spec": {"workflow": {"manifest": "kind: Workflow"}, "shutdown": "Stop", "retries": 2},
        "status": {"phase": "Running", "unknown": 1},
    }

    def test_the_record(self) -> None:
        run = run_record(self.BODY)
        assert (run.key, run.uid, run.resource_version, run.generation) == (Key("team", "train"), "u1", "12", 3)
        assert run.created_at == datetime(2026, 11, 24, 12, tzinfo=UTC)
        assert (run.source, run.shutdown, run.retries, run.deleting) == (SourceField.MANIFEST, Shutdown.STOP, 2, False)
        assert run.status == PipelineRunStatus(phase=Phase.RUNNING)
        assert not run.finished

    def test_one_that_is_being_deleted(self) -> None:
        metadata = self.BODY["metadata"] | {"deletionTimestamp": "2026-11-24T12:00:00Z"}
        assert run_record(self.BODY | {"metadata": metadata}).deleting

    @pytest.mark.parametrize(
        ("workflow", "source"),
        [
            ({"spec": {}}, SourceField.SPEC),
            ({"templateRef": {"name": "t"}}, SourceField.TEMPLATE_REF),
            ({"manifestFrom": {}}, SourceField.MANIFEST_FROM),
            ({"manifest": "a", "spec": {}}, SourceField.INVALID),
            ({}, SourceField.INVALID),
        ],
    )
    def test_the_source(self, workflow: Any, source: SourceField) -> None:
        assert run_record({"spec": {"workflow": workflow}}).source is source

    def test_a_status_that_cannot_be_read_is_written_anew(self) -> None:
        assert read_run_status({"phase": "Exploded"}) == PipelineRunStatus()
        workflow = {"name": "train", "uid": "u"}
        ended = {"phase": "Exploded", "workflow": workflow, "nodes": 7, "finishedAt": "2026-01-01T00:00:00Z"}
        kept = read_run_status(ended)
        assert kept.workflow is not None and kept.workflow.uid == "u"
        assert run_record({"metadata": {}, "status": ended}).finished, "a newer version's run is not started again"
        assert read_run_status("nothing") == PipelineRunStatus()

    def test_the_digest_is_of_what_a_workflow_is_made_from(self) -> None:
        spec = {"workflow": {"manifest": "a"}, "parameters": [{"name": "x", "value": "1"}]}
        assert source_digest(spec) == source_digest({**spec, "displayName": "other", "retries": 1})
        assert source_digest(spec) != source_digest({**spec, "serviceAccountName": "other"})
        assert source_digest(spec) != source_digest({**spec, "parameters": []})

    def test_no_digest_once_the_workflow_is_known(self) -> None:
        assert run_record(self.BODY).source_digest
        status = {"workflow": {"name": "train", "uid": "w"}}
        assert run_record(self.BODY | {"status": status}).source_digest == ""


class TestWorkflow:
    OWNER: ClassVar[Any] = {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "PipelineRun",
        "controller": True,
        "uid": "u1",
    }

    def test_the_record(self) -> None:
        root = {"type": "DAG", "phase": "Succeeded", "outputs": {"parameters": [{"name": "accuracy", "value": "1"}]}}
        record = workflow_record(
            {
                "metadata": {
                    "namespace": "team",
                    "name": "train",
                    "uid": "w1",
                    "resourceVersion": "5",
                    "ownerReferences": [self.OWNER | {"name": "train"}],
                    "annotations": {"runwright.dev/generation": "4", "runwright.dev/source-digest": "d"},
                },
                "status": {
                    "phase": "Succeeded",
                    "progress": "1/1",
                    "startedAt": "2026-11-24T12:00:00Z",
                    "finishedAt": "2026-11-24T12:00:09Z",
                    "nodes": {"train": root, "train-1": {"displayName": "a", "type": "Pod", "phase": "Succeeded"}},
                },
            }
        )
        assert (record.key, record.uid, record.resource_version) == (Key("team", "train"), "w1", "5")
        assert (record.owner_uid, record.owner_name, record.generation, record.source_digest) == ("u1", "train", 4, "d")
        assert (record.phase, record.progress, record.finished) == ("Succeeded", "1/1", True)
        assert [node.name for node in record.nodes] == ["", "a"]
        assert record.outputs is not None and record.outputs.parameters is not None
        assert record.outputs.parameters[0].value == "1"

    @pytest.mark.parametrize("generation", ["", "x", "-1", "1.5", "٣", "9" * 5000, None, 3])
    def test_a_generation_that_is_no_number_is_none(self, generation: Any) -> None:
        metadata = {"annotations": {"runwright.dev/generation": generation}}
        assert workflow_record({"metadata": metadata}).generation == 0

    @pytest.mark.parametrize(
        "owners", [None, [], ["x"], [{"kind": "PipelineRun"}], [{"kind": "Job", "controller": True}]]
    )
    def test_only_a_controlling_run_owns_it(self, owners: Any) -> None:
        assert controller_reference({"ownerReferences": owners}) == {}
        assert controller_reference({"ownerReferences": [{"kind": "Job"}, self.OWNER]}) == self.OWNER

    def test_a_message_is_kept_of_what_did_not_succeed(self) -> None:
        nodes = {
            name: {"phase": phase, "message": "told", "startedAt": f"2026-11-24T12:00:0{at}Z"}
            for at, (name, phase) in enumerate(
                [("a", "Succeeded"), ("b", "Failed"), ("c", "Running"), ("d", "Pending")]
            )
        }
        record = workflow_record({"status": {"nodes": nodes}})
        assert [node.message for node in record.nodes] == [None, "told", None, "told"]


class TestCompressedNodes:
    @given(NODES)
    def test_they_are_read_like_the_others(self, nodes: Any) -> None:
        nodes = json.loads(json.dumps(nodes).replace("NaN", "0").replace("Infinity", "0"))
        assert workflow_nodes({"compressedNodes": packed(nodes)}) == nodes

    @pytest.mark.parametrize(
        "text",
        [
            "not base64!",
            base64.b64encode(b"not gzip").decode(),
            base64.b64encode(gzip.compress(b"not json", mtime=0)).decode(),
            base64.b64encode(gzip.compress(b"[1]", mtime=0)).decode(),
            base64.b64encode(gzip.compress(b'{"a":{}}', mtime=0)[:-9]).decode(),
            base64.b64encode(gzip.compress(b"[" * 100_000, mtime=0)).decode(),
        ],
    )
    def test_what_cannot_be_read_is_left_out(self, text: str) -> None:
        assert workflow_nodes({"compressedNodes": text}) == {}

    def test_a_bomb_is_not_unpacked(self) -> None:
        bomb = base64.b64encode(gzip.compress(b" " * (MAX_NODES_BYTES + 1), compresslevel=1, mtime=0)).decode()
        assert workflow_nodes({"compressedNodes": bomb}) == {}

    def test_half_a_character_does_not_get_through(self) -> None:
        nodes = {"a": {"displayName": "\ud83d", "message": "\ud83d\ude00"}}
        found = workflow_nodes({"compressedNodes": packed(nodes)})
        assert found == {"a": {"displayName": "?", "message": "😀"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24T12:00:00Z", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("2026-11-24T12:00:00.5+02:00", datetime(2026, 11, 24, 10, 0, 0, 500000, tzinfo=UTC)),
        ("2026-11-24T12:00:00", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("0001-01-01T00:00:00+10:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_moment(text: Any, expected: datetime | None) -> None:
    found = as_time(text)
    assert found == expected
    assert found is None or found.tzinfo is UTC


@given(st.datetimes(timezones=st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours)))))
def test_every_moment_is_in_utc(at: datetime) -> None:
    found = as_time(at.isoformat())
    assert found is None or (found == at and found.tzinfo is UTC)


def test_key_of_an_odd_object() -> None:
    assert key_of({}) == Key("", "")
    assert key_of({"metadata": {"namespace": 1, "name": ["x"]}}) == Key("", "")
