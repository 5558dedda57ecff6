"""A failed Workflow is reset to where it failed, as `argo retry` does, with the documented exceptions."""

import base64
import gzip
import json
import random
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from runwright.core.records import Refusal
from runwright.core.retry.reset import RETRY_IMPOSSIBLE, WorkflowReset, encode_in_pieces, has_claims, reset_workflow
from runwright.core.workflow.record import workflow_nodes
from runwright.kube.objects import INCOMPLETE, Incompleteness
from tests.unit.core.small_argo import FAILED, SmallArgo, Task, Template
from tests.unit.core.strategies import JSON

Object = dict[str, Any]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
STARTED = "2026-11-24T12:00:00Z"
RECORDED = sorted((Path(__file__).parent / "retry_corpus").glob("*.json"))


def done(body: Object) -> WorkflowReset:
    result = reset_workflow(body, NOW)
    assert isinstance(result, WorkflowReset), result
    return result


def test_a_workflow_that_was_cut_is_never_written_again() -> None:
    body = {**failed({}), INCOMPLETE: Incompleteness("TooDeep", "spec.x is too deep")}
    assert reset_workflow(body, NOW) == Refusal(
        RETRY_IMPOSSIBLE, "the Workflow cannot be written again as it is: spec.x is too deep"
    )


def failed(nodes: Object | None = None, *, name: str = "run", **status: Any) -> Object:
    """A failed Workflow with these nodes."""
    return {
        "metadata": {
            "name": name,
            "resourceVersion": "7",
            "labels": {
                "workflows.argoproj.io/completed": "true",
                "workflows.argoproj.io/phase": "Failed",
                "workflows.argoproj.io/workflow-archiving-status": "Archived",
                "team": "a",
            },
            "annotations": {"workflows.argoproj.io/pod-name-format": "v2"},
        },
        "spec": {"entrypoint": "main"},
        "status": {"phase": "Failed", "startedAt": "then", "finishedAt": "then", "nodes": nodes or {}, **status},
    }


def made(*nodes: tuple[str, str, str, str], **more: Object) -> Object:
    """Nodes from (name, type, phase, names of its children), each with the fields that `more` has for its name."""
    return {
        f"id:{name}": {
            "id": f"id:{name}",
            "name": name,
            "type": kind,
            "phase": phase,
            "startedAt": "then",
            "finishedAt": "then",
            "children": [f"id:{child}" for child in children.split()],
            **more.get(name, {}),
        }
        for name, kind, phase, children in nodes
    }


def phases(result: WorkflowReset) -> dict[str, str]:
    nodes = workflow_nodes(result.workflow["status"])
    return {node["name"]: node["phase"] for node in nodes.values()}


# ------------------------------------------------------------------------------------------------- as `argo retry` has it
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_workflow_is_reset_as_argo_does(path: Path) -> None:
    """The same nodes stay, and the same are gone; but where it is known, and tested on a cluster, that Argo is wrong."""
    recorded = json.loads(path.read_text())
    result = done(recorded["failed"])
    before = recorded["failed"]["status"].get("nodes", {})
    after, argos = result.workflow["status"]["nodes"], recorded["argo"]
    assert result.removed >= set(before) - set(after)
    # Argo also opens groups that have succeeded, upstream of the failure; to no effect.
    kept_phases = {key: node["phase"] for key, node in after.items() if before[key]["phase"] != "Succeeded"}
    same = (
        set(after) == set(argos)
        and kept_phases == {key: argos[key] for key in kept_phases}
        and not result.removed & set(after)
    )
    assert same is not recorded["differs"]
    for key, node in after.items():
        if node["phase"] == before[key]["phase"] == "Succeeded":
            assert node.get("outputs") == before[key].get("outputs")


def test_the_recorded_workflows_are_many_and_small() -> None:
    assert len(RECORDED) >= 35
    assert sum(path.stat().st_size for path in RECORDED) < 600_000


# ---------------------------------------------------------------------------------------------------------- the Workflow
def test_fields_of_the_finished_attempt_are_removed() -> None:
    conditions = [{"type": "PodRunning", "status": "False"}, {"type": "Completed", "status": "True"}]
    body = failed(made(("run", "Pod", "Failed", "")), message="child failed", conditions=conditions)
    workflow = done(body).workflow
    assert workflow["metadata"] == {
        **body["metadata"],
        "labels": {"workflows.argoproj.io/phase": "Running", "team": "a"},
    }
    assert workflow["status"] == {
        "phase": "Running",
        "startedAt": STARTED,
        "conditions": [conditions[0], {"type": "Completed", "status": "False"}],
        "nodes": {},
    }


def test_a_shutdown_is_removed_from_workflow_and_template() -> None:
    body = failed(
        made(("run", "Pod", "Failed", "")), storedWorkflowTemplateSpec={"shutdown": "Stop", "entrypoint": "m"}
    )
    body["spec"].update(shutdown="Terminate", activeDeadlineSeconds=0)
    workflow = done(body).workflow
    assert workflow["spec"] == {"entrypoint": "main"}
    assert workflow["status"]["storedWorkflowTemplateSpec"] == {"entrypoint": "m"}


def test_a_deadline_is_kept_and_the_start_time_reset() -> None:
    body = failed(made(("run", "Pod", "Failed", "")))
    body["spec"]["activeDeadlineSeconds"] = 60
    workflow = done(body).workflow
    assert workflow["spec"]["activeDeadlineSeconds"] == 60
    assert workflow["status"]["startedAt"] == STARTED


def test_claims_and_locks_are_removed_and_outputs_kept() -> None:
    body = failed(
        made(("run", "Pod", "Failed", "")),
        persistentVolumeClaims=[{"name": "work"}],
        synchronization={"mutex": {"holding": []}},
        outputs={"parameters": [{"name": "global", "value": "1"}]},
        artifactRepositoryRef={"default": True},
    )
    status = done(body).workflow["status"]
    assert "persistentVolumeClaims" not in status
    assert "synchronization" not in status
    assert status["outputs"] == body["status"]["outputs"]
    assert status["artifactRepositoryRef"] == {"default": True}


def test_volume_claims_are_found_in_spec_and_template() -> None:
    claims = {"volumeClaimTemplates": [{"metadata": {"name": "work"}}]}
    assert not has_claims(failed())
    assert has_claims({**failed(), "spec": claims})
    assert has_claims(failed(storedWorkflowTemplateSpec=claims))


def test_only_results_of_nodes_that_stay_are_known_as_complete() -> None:
    nodes = made(
        ("run", "DAG", "Failed", "run.a run.b"), ("run.a", "Pod", "Succeeded", ""), ("run.b", "Pod", "Failed", "")
    )
    results = {"id:run.a": True, "id:run.b": True, "id:gone": True}
    status = done(failed(nodes, taskResultsCompletionStatus=results)).workflow["status"]
    assert status["taskResultsCompletionStatus"] == {"id:run.a": True}
    assert (
        "taskResultsCompletionStatus"
        not in done(failed(nodes, taskResultsCompletionStatus={"id:run.b": True, "id:run.a": False})).workflow["status"]
    )


def test_a_workflow_without_nodes_is_validated_again() -> None:
    body = failed(message="failed to resolve artifact repository")
    workflow = done(body).workflow
    assert "phase" not in workflow["status"]
    assert "startedAt" not in workflow["status"]
    assert "workflows.argoproj.io/phase" not in workflow["metadata"]["labels"]


def test_packed_nodes_are_packed_again() -> None:
    nodes = made(
        ("run", "DAG", "Failed", "run.a run.b"), ("run.a", "Pod", "Succeeded", ""), ("run.b", "Pod", "Failed", "")
    )
    body = failed()
    del body["status"]["nodes"]
    body["status"]["compressedNodes"] = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
    result = done(body)
    assert "nodes" not in result.workflow["status"]
    assert phases(result) == {"run": "Running", "run.a": "Succeeded"}


def test_nodes_are_packed_where_argo_would_pack_them() -> None:
    """A snapshot has them unpacked, however many they are."""
    pods = [(f"run.t{number}", "Pod", "Succeeded", "") for number in range(9000)]
    nodes = made(("run", "DAG", "Failed", " ".join(pod[0] for pod in pods)), *pods, ("run.b", "Pod", "Failed", ""))
    result = done(failed(nodes))
    assert "nodes" not in result.workflow["status"]
    assert len(json.dumps(result.workflow)) < 1024 * 1024
    assert len(phases(result)) == 9001


@pytest.mark.parametrize("phase", ["", "Pending", "Running", "Succeeded", None, 3])
def test_only_a_failed_workflow_is_reset(phase: Any) -> None:
    refusal = reset_workflow({**failed(), "status": {"phase": phase}}, NOW)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == RETRY_IMPOSSIBLE
    assert "expected Failed or Error" in refusal.message


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"offloadNodeStatusVersion": "fnv:1"}, "offloadNodeStatusVersion"),
        ({"compressedNodes": "no base64"}, "compressedNodes"),
        ({"compressedNodes": base64.b64encode(b"zstd").decode()}, "compressedNodes"),
    ],
)
def test_nodes_that_cannot_be_read_are_refused(status: Object, words: str) -> None:
    refusal = reset_workflow(failed(**status), NOW)
    assert isinstance(refusal, Refusal)
    assert words in refusal.message


# ------------------------------------------------------------------------------------------------------- which nodes
def test_a_reopened_group_keeps_its_name_and_loses_message_and_outputs() -> None:
    nodes = made(
        ("run", "Steps", "Failed", "run[0]"),
        ("run[0]", "StepGroup", "Failed", "run[0].a run[0].b"),
        ("run[0].a", "Pod", "Succeeded", ""),
        ("run[0].b", "Pod", "Error", ""),
        run={"message": "child failed", "outputs": {"exitCode": "1"}, "outboundNodes": ["id:run[0].a", "id:run[0].b"]},
    )
    result = done(failed(nodes))
    root = result.workflow["status"]["nodes"]["id:run"]
    assert root == {
        "id": "id:run",
        "name": "run",
        "type": "Steps",
        "phase": "Running",
        "startedAt": STARTED,
        "children": ["id:run[0]"],
        "outboundNodes": ["id:run[0].a"],
    }
    assert result.workflow["status"]["nodes"]["id:run[0].a"] == nodes["id:run[0].a"]
    assert result.removed == {"id:run[0].b"}


def test_the_exit_handler_goes_with_all_that_is_in_it_and_its_namesake_stays() -> None:
    nodes = made(
        ("run", "DAG", "Failed", "run.onExitCheck run.b"),
        ("run.onExitCheck", "Pod", "Succeeded", ""),
        ("run.b", "Pod", "Failed", ""),
        ("run.onExit", "Steps", "Succeeded", "run.onExit[0]"),
        ("run.onExit[0]", "StepGroup", "Succeeded", "run.onExit[0].tell"),
        ("run.onExit[0].tell", "Pod", "Succeeded", ""),
    )
    assert phases(done(failed(nodes))) == {"run": "Running", "run.onExitCheck": "Succeeded"}


def test_a_failed_exit_handler_is_all_that_runs_again() -> None:
    nodes = made(("run", "Pod", "Succeeded", ""), ("run.onExit", "Pod", "Failed", ""))
    result = done(failed(nodes))
    assert phases(result) == {"run": "Succeeded"}
    assert result.removed == {"id:run.onExit"}


def test_a_container_set_runs_again_as_a_whole() -> None:
    nodes = made(
        ("run", "DAG", "Failed", "run.a"),
        ("run.a", "Pod", "Failed", "run.a.one"),
        ("run.a.one", "Container", "Succeeded", "run.a.two"),
        ("run.a.two", "Container", "Failed", "run.b"),
        ("run.b", "Skipped", "Omitted", ""),
    )
    assert phases(done(failed(nodes))) == {"run": "Running"}


def test_earlier_attempts_of_a_group_are_history_and_end_where_they_had_not() -> None:
    nodes = made(
        ("run", "Retry", "Failed", "run(0) run(1)"),
        ("run(0)", "Steps", "Running", "run(0)[0]"),
        ("run(0)[0]", "StepGroup", "Failed", "run(0)[0].a"),
        ("run(0)[0].a", "Pod", "Failed", ""),
        ("run(1)", "Steps", "Failed", "run(1)[0]"),
        ("run(1)[0]", "StepGroup", "Failed", "run(1)[0].a"),
        ("run(1)[0].a", "Pod", "Failed", ""),
    )
    assert phases(done(failed(nodes))) == {
        "run": "Running",
        "run(0)": "Failed",
        "run(0)[0]": "Failed",
        "run(0)[0].a": "Failed",
        "run(1)": "Running",
        "run(1)[0]": "Running",
    }


def test_an_unfinished_node_runs_again() -> None:
    """As steps with failFast and parallelism leave it."""
    nodes = made(
        ("run", "Steps", "Failed", "run[0]"),
        ("run[0]", "StepGroup", "Failed", "run[0].a run[0].b"),
        ("run[0].a", "Pod", "Running", ""),
        ("run[0].b", "Pod", "Failed", ""),
    )
    assert done(failed(nodes)).removed == {"id:run[0].a", "id:run[0].b"}


def test_a_group_that_failed_by_itself_continues_with_its_omitted_nodes() -> None:
    nodes = made(
        ("run", "DAG", "Failed", "run.x"),
        ("run.x", "Steps", "Error", "run.x[0]"),
        ("run.x[0]", "StepGroup", "Succeeded", "run.x[0].a"),
        ("run.x[0].a", "Pod", "Succeeded", "run.y"),
        ("run.y", "Skipped", "Omitted", ""),
    )
    assert phases(done(failed(nodes))) == {
        "run": "Running",
        "run.x": "Running",
        "run.x[0]": "Succeeded",
        "run.x[0].a": "Succeeded",
    }


def test_a_tolerated_failure_stays_unless_it_omitted_a_node() -> None:
    """Then the tolerance is decided again: the step may fail again, or not."""
    nodes = made(
        ("run", "DAG", "Failed", "run.a run.b"),
        ("run.a", "Pod", "Failed", "run.tidy run.d"),
        ("run.tidy", "Pod", "Succeeded", ""),
        ("run.d", "Skipped", "Omitted", ""),
        ("run.b", "Pod", "Succeeded", ""),
    )
    assert phases(done(failed(nodes))) == {"run": "Running", "run.b": "Succeeded"}
    nodes["id:run.d"]["phase"] = "Skipped"
    assert phases(done(failed(nodes))) == {
        "run": "Running",
        "run.a": "Failed",
        "run.tidy": "Succeeded",
        "run.d": "Skipped",
        "run.b": "Succeeded",
    }


def test_a_node_omitted_for_another_reason_does_not_count() -> None:
    nodes = made(
        ("run", "DAG", "Failed", "run.a run.c"),
        ("run.a", "Pod", "Failed", "run.tidy run.e"),
        ("run.c", "Pod", "Failed", "run.e"),
        ("run.tidy", "Pod", "Succeeded", ""),
        ("run.e", "Skipped", "Omitted", ""),
    )
    assert phases(done(failed(nodes))) == {"run": "Running", "run.a": "Failed", "run.tidy": "Succeeded"}


@pytest.mark.parametrize("where", ["spec", "stored", "reference"])
def test_a_daemon_is_restarted_for_a_successor_that_runs_again(where: str) -> None:
    reference = (
        {"templateRef": {"name": "lib", "template": "serve"}} if where == "reference" else {"templateName": "serve"}
    )
    nodes = made(
        ("run", "Steps", "Failed", "run[0]"),
        ("run[0]", "StepGroup", "Succeeded", "run[0].d"),
        ("run[0].d", "Pod", "Succeeded", "run[1]"),
        ("run[1]", "StepGroup", "Failed", "run[1].b"),
        ("run[1].b", "Pod", "Failed", ""),
        **{"run[0].d": {**reference, "podIP": "10.0.0.1"}},
    )
    templates = [{"name": "serve", "daemon": True}]
    body = failed(nodes)
    if where == "spec":
        body["spec"]["templates"] = templates
    elif where == "stored":
        body["status"]["storedWorkflowTemplateSpec"] = {"templates": templates}
    else:
        body["status"]["storedTemplates"] = {"namespaced/lib/serve": templates[0]}
    result = done(body)
    assert phases(result) == {"run": "Running", "run[0]": "Running", "run[0].d": "Pending", "run[1]": "Running"}
    assert result.removed == {"id:run[0].d", "id:run[1].b"}
    assert "podIP" not in result.workflow["status"]["nodes"]["id:run[0].d"]


def test_a_daemon_without_such_a_successor_stays_ended() -> None:
    nodes = made(
        ("run", "DAG", "Failed", "run.d run.b"),
        ("run.d", "Pod", "Succeeded", "run.c"),
        ("run.c", "Pod", "Succeeded", ""),
        ("run.b", "Pod", "Failed", ""),
        **{"run.d": {"templateName": "serve"}},
    )
    body = failed(nodes)
    body["spec"]["templates"] = [{"name": "serve", "daemon": True}]
    assert done(body).removed == {"id:run.b"}


# ------------------------------------------------------------------------------------------------------------ properties
def templates(depth: int = 3) -> st.SearchStrategy[Template]:
    limits = st.none() | st.integers(0, 1)
    leaf = st.builds(Template, limit=limits)
    if depth == 0:
        return leaf
    inner = templates(depth - 1)
    steps = st.lists(st.lists(inner, min_size=1, max_size=2).map(tuple), min_size=1, max_size=3).map(tuple)
    return leaf | st.builds(Template, steps=steps, limit=limits) | st.builds(Template, tasks=tasks(inner), limit=limits)


@st.composite
def tasks(draw: st.DrawFn, inner: st.SearchStrategy[Template]) -> tuple[Task, ...]:
    made: list[Task] = []
    for number in range(draw(st.integers(1, 4))):
        made.append(
            Task(
                template=draw(inner),
                after=draw(st.frozensets(st.integers(0, number - 1), max_size=2)) if number else frozenset(),
                when=draw(st.sampled_from([("Succeeded", "Skipped")] * 4 + [("Failed", "Error")])),
                items=draw(st.sampled_from([0, 0, 0, 2])),
            )
        )
    return tuple(made)


GRAPHS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
SEEDS = st.integers(0, 999)


def ended_badly(template: Template, seed: int) -> SmallArgo:
    argo, chance = SmallArgo("run", template), random.Random(seed)
    phase = argo.run(lambda _: chance.choice(["Succeeded", "Succeeded", "Succeeded", "Failed", "Error"]))
    assume(phase in FAILED)
    return argo


def retried_to_the_end(argo: SmallArgo, template: Template) -> None:
    """Retry what nothing is wrong with any more. Once is enough, but where a failure that a handler has dealt with shows
    its consequence only when another one's is gone."""
    has_handler = "'Failed'" in repr(template)
    for _ in range(3 if has_handler else 1):
        again = SmallArgo("run", template, done(failed(argo.nodes)).workflow["status"]["nodes"])
        phase = again.run(lambda _: "Succeeded")
        assert len(again.ran) == len(set(again.ran)) > 0
        assert {node["phase"] for node in again.nodes.values()} <= {"Succeeded", "Omitted", "Failed", "Error"}
        # Only what a handler of a failure has done can be done again: it comes after something that failed.
        bad = [one for one in argo.nodes.values() if one["phase"] in FAILED and one["type"] in ("Pod", "Steps", "DAG")]
        after = {below["name"] for one in bad for child in argo.children(one) for below in argo.below(child)}
        succeeded = {one["name"] for one in argo.nodes.values() if one["type"] == "Pod" and one["phase"] == "Succeeded"}
        assert set(again.ran) & succeeded <= (after if has_handler else set())
        argo = again
        if phase == "Succeeded":
            return
    pytest.fail("it does not come to its end")


@GRAPHS
@given(templates(), SEEDS)
def test_argo_finishes_the_reset_workflow_and_runs_nothing_twice(template: Template, seed: int) -> None:
    retried_to_the_end(ended_badly(template, seed), template)


@GRAPHS
@given(templates(), SEEDS)
def test_the_remaining_graph_has_no_missing_links(template: Template, seed: int) -> None:
    argo = ended_badly(template, seed)
    body = failed(argo.nodes)
    before = deepcopy(body)
    result = done(body)
    assert body == before
    nodes = result.workflow["status"]["nodes"]
    assert set(argo.nodes) - set(nodes) <= result.removed <= set(argo.nodes)
    below = {child for node in nodes.values() for child in node["children"]}
    assert below | {"id:run"} >= set(nodes)
    for key, node in nodes.items():
        assert set(node["children"]) | set(node["outboundNodes"]) <= set(nodes)
        if argo.nodes[key]["phase"] == "Succeeded" and node["type"] == "Pod":
            assert node == argo.nodes[key] or node["children"] != argo.nodes[key]["children"]
            assert key not in result.removed


@GRAPHS
@given(templates(), SEEDS)
def test_a_retry_that_fails_again_can_be_retried_again(template: Template, seed: int) -> None:
    argo, chance = ended_badly(template, seed), random.Random(seed)
    for _ in range(3):
        again = SmallArgo("run", template, done(failed(argo.nodes)).workflow["status"]["nodes"])
        if again.run(lambda _: chance.choice(["Succeeded", "Failed"])) == "Succeeded":
            return
        argo = again
    retried_to_the_end(argo, template)


@GRAPHS
@given(templates(), SEEDS)
def test_a_second_reset_changes_nothing(template: Template, seed: int) -> None:
    """So it is when a retry is ended before anything of it has run."""
    once = done(failed(ended_badly(template, seed).nodes)).workflow["status"]["nodes"]
    assert done(failed(once)).workflow["status"]["nodes"] == once


ODD_NODES = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    JSON
    | st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(["run", "run.onExit", "run(0)", "run[0]", "run.a.hooks.x", "", "run.a"]) | JSON,
            "type": st.sampled_from(["Pod", "DAG", "Steps", "StepGroup", "TaskGroup", "Retry", "Suspend"]) | JSON,
            "phase": st.sampled_from(["Succeeded", "Failed", "Omitted", "Running"]) | JSON,
            "children": st.lists(st.sampled_from(["a", "b", "c", "d", "e"])) | JSON,
            "outboundNodes": st.lists(st.sampled_from(["a", "b", "c", "d", "e"])) | JSON,
            "templateRef": JSON,
            "outputs": JSON,
            "taskResultSynced": JSON,
        },
    ),
)


@given(
    st.fixed_dictionaries(
        {"status": st.fixed_dictionaries({"phase": st.just("Failed"), "nodes": ODD_NODES})},
        optional={"metadata": JSON | st.fixed_dictionaries({"name": st.just("run"), "labels": JSON}), "spec": JSON},
    ),
    st.dictionaries(
        st.sampled_from(["conditions", "storedWorkflowTemplateSpec", "storedTemplates", "taskResultsCompletionStatus"]),
        JSON,
    ),
)
def test_any_failed_workflow_is_reset_without_missing_links(body: Object, status: Object) -> None:
    body["status"].update(status)
    before = deepcopy(body)
    result = done(body)
    assert repr(body) == repr(before)
    nodes = result.workflow["status"]["nodes"]
    for node in nodes.values():
        for kind in ("children", "outboundNodes"):
            assert set(node.get(kind, [])) <= set(nodes)


@given(JSON)
def test_anything_is_a_workflow_or_a_refusal(body: Any) -> None:
    reset_workflow(body if isinstance(body, dict) else {"status": body}, NOW)


def test_a_spec_that_is_nested_too_deeply_is_refused() -> None:
    deep: Any = "x"
    for _ in range(2000):
        deep = [deep]
    assert isinstance(reset_workflow(failed(made(("run", "Pod", "Failed", "")), outputs=deep), NOW), Refusal)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("handled", [False, True])
def test_a_large_workflow_takes_no_time(handled: bool) -> None:
    """5,000 items of which half failed, and a join; also with a step that deals with the failure."""
    below = "run.join run.tidy" if handled else "run.join"
    items = [(f"run.fan({number}:x)", "Pod", "Failed" if number % 2 else "Succeeded", below) for number in range(5000)]
    nodes = made(
        ("run", "DAG", "Failed", "run.fan"),
        ("run.fan", "TaskGroup", "Failed", " ".join(one[0] for one in items)),
        *items,
        ("run.join", "Skipped", "Omitted", ""),
        *([("run.tidy", "Pod", "Succeeded", "")] if handled else []),
    )
    assert len(done(failed(nodes)).removed) == (2502 if handled else 2501)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5), st.integers(0, 4))
def test_pieces_are_the_json_of_the_whole(value: Object, levels: int) -> None:
    assert "".join(encode_in_pieces(value, levels)) == json.dumps(value, separators=(",", ":"))
