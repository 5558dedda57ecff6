"""Argo CD's health and action scripts, run as Argo CD runs them, on recorded runs."""

from __future__ import annotations

from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from lupa import lua51

from argocd.argocd_cm import CUSTOMIZATIONS
from runwright.api.labels import STORAGE_STATE_LABEL
from runwright.api.states import Phase, Shutdown, StorageState
from runwright.core.run_record import OWNER_ANNOTATIONS, OWNER_LABELS
from runwright.core.status.conditions import PREVIOUS_WORKFLOW, STALLED, SUCCEEDED
from runwright.core.status.patch import merge_patch
from tests.unit.core.strategies import STATUSES
from tests.unit.deploy.argocd.lua_vm import LuaReturnError, Object, act, discover, health, paths

REPOSITORY = Path(__file__).resolve().parents[4]
KIND = CUSTOMIZATIONS / "runwright.dev" / "PipelineRun"
ACTIONS = KIND / "actions"
HEALTH = (KIND / "health.lua").read_text()
DISCOVERY = (ACTIONS / "discovery.lua").read_text()
ACTION = {script.parent.name: script.read_text() for script in sorted(ACTIONS.glob("*/action.lua"))}
RUNS = sorted((KIND / "testdata").glob("*.yaml"))


class AsJson(yaml.SafeLoader):
    """YAML loader without timestamps, as in Kubernetes."""


AsJson.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path: Path) -> Any:
    return yaml.load(path.read_text(), AsJson)


HEALTH_TESTS: list[Object] = read(KIND / "health_test.yaml")["tests"]
ACTION_TESTS: Object = read(ACTIONS / "action_test.yaml")


def name_of(path: Path) -> str:
    return path.stem


def has_ended(path: Path) -> bool:
    """True if the run is finished and no retry is requested."""
    run = read(path)
    status = run.get("status", {"phase": "Pending"})
    return Phase(status["phase"]).finished and run["spec"]["retries"] <= status["retries"]


def with_spec(obj: Object, **spec: Any) -> Object:
    return {**obj, "spec": {**obj["spec"], **spec}}


def enabled(obj: Object) -> set[str]:
    return {name for name, action in discover(obj, DISCOVERY).items() if not action["disabled"]}


# ------------------------------------------------------------------------------- the tests of Argo CD's repository
@pytest.mark.parametrize("case", HEALTH_TESTS, ids=lambda case: case["inputPath"])
@pytest.mark.parametrize("libraries", [False, True], ids=["from argocd-cm", "built in"])
def test_health(case: Object, libraries: bool):
    """`libraries`: Argo CD opens Lua's libraries for built-in scripts, not for those in argocd-cm."""
    assert health(read(KIND / case["inputPath"]), HEALTH, libraries) == case["healthStatus"]


@pytest.mark.parametrize("case", ACTION_TESTS["discoveryTests"], ids=lambda case: case["inputPath"])
def test_discovery(case: Object):
    wanted = {action.pop("name"): {"disabled": False, **action} for action in deepcopy(case["result"])}
    assert discover(read(ACTIONS / case["inputPath"]), DISCOVERY) == wanted


@pytest.mark.parametrize("case", ACTION_TESTS["actionTests"], ids=lambda case: case["expectedOutputPath"])
def test_action(case: Object):
    done = act(read(ACTIONS / case["inputPath"]), ACTION[case["action"]])
    assert done == read(ACTIONS / case["expectedOutputPath"])


def test_every_recorded_run_and_every_result_is_used():
    assert {KIND / case["inputPath"] for case in HEALTH_TESTS} == set(RUNS)
    outputs = {ACTIONS / case["expectedOutputPath"] for case in ACTION_TESTS["actionTests"]}
    assert outputs == set((ACTIONS / "testdata").glob("*.yaml"))
    assert {case["action"] for case in ACTION_TESTS["actionTests"]} == set(ACTION)
    discovered = discover(read(RUNS[0]), DISCOVERY)
    assert set(discovered) == set(ACTION), "each action needs a script and an entry in discovery.lua"


# -------------------------------------------------------------------------------------------------------------- health
@pytest.mark.parametrize("path", [path for path in RUNS if has_ended(path)], ids=name_of)
def test_archiving_does_not_change_the_health_of_a_finished_run(path: Path):
    """An edit of an archived run does not change it either, because the operator no longer reconciles it."""
    run = read(path)
    before = health(run, HEALTH)
    run["metadata"].setdefault("labels", {})[STORAGE_STATE_LABEL] = StorageState.ARCHIVED.value
    run["status"].pop("nodes", None)
    run["metadata"]["generation"] += 5
    assert health(run, HEALTH) == before


def run_with(status: Object, generation: int, retries: int, archived: bool, deleting: bool) -> Object:
    metadata: Object = {"name": "train", "generation": generation}
    if archived:
        metadata["labels"] = {STORAGE_STATE_LABEL: StorageState.ARCHIVED.value}
    if deleting:
        metadata["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    return {"metadata": metadata, "spec": {"retries": retries, "workflow": {"manifest": "a"}}, "status": status}


@given(STATUSES, st.integers(0, 3), st.integers(0, 3), st.booleans(), st.booleans())
def test_the_health_of_any_status(status: Any, generation: int, retries: int, archived: bool, deleting: bool):
    document = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    run = run_with(document, generation, retries, archived, deleting)
    word = health(run, HEALTH)["status"]
    conditions = {one["type"]: one for one in document.get("conditions", [])}
    succeeded = conditions.get(SUCCEEDED, {}).get("status", "Unknown")
    retry = succeeded == "False" and retries > document.get("retries", 0) and not archived
    stalled = conditions.get(STALLED, {}).get("status") == "True"
    if deleting:
        wanted = "Progressing"
    elif succeeded != "Unknown" and not retry:
        wanted = "Healthy" if succeeded == "True" else "Degraded"
    elif document.get("observedGeneration", 0) < generation:
        wanted = "Progressing"
    else:
        wanted = "Degraded" if stalled else "Progressing"
    assert word == wanted


WAITS = {"type": "Suspend", "phase": "Running", "name": "approve"}


@pytest.mark.parametrize(
    ("others", "wanted"),
    [
        ([], "Suspended"),
        ([{"type": "Pod", "phase": "Running"}], "Progressing"),
        ([{"type": "Pod", "phase": "Pending"}], "Progressing"),
        ([{"type": "Container", "phase": "Running"}], "Progressing"),
        ([{"type": "HTTP", "phase": "Running"}], "Progressing"),
        ([{"type": "Plugin", "phase": "Running"}], "Progressing"),
        ([{"type": "Pod", "phase": "Succeeded"}, {"type": "DAG", "phase": "Running"}], "Suspended"),
        ([{**WAITS, "name": "second"}], "Suspended"),
    ],
    ids=str,
)
def test_a_run_with_a_suspend_node_is_suspended_if_no_step_runs(others: list[Object], wanted: str):
    conditions = [{"type": SUCCEEDED, "status": "Unknown", "reason": "Running", "message": ""}]
    status = {"observedGeneration": 1, "conditions": conditions, "nodes": [WAITS, *others]}
    run = run_with(status, 1, 0, archived=False, deleting=False)
    assert health(run, HEALTH)["status"] == wanted
    run["status"]["nodes"] = [*others, WAITS]
    assert health(run, HEALTH)["status"] == wanted


@pytest.mark.parametrize("missing", ["workflow", None])
@pytest.mark.parametrize("nodes", [None, [{"type": "Pod", "phase": "Running"}]])
def test_a_suspended_inline_spec_is_suspended_until_its_first_node(missing: str | None, nodes: list[Object] | None):
    """`suspend: true` stays in the inline spec, which is immutable, even after the Workflow is resumed."""
    run = read(KIND / "testdata" / "suspended_spec.yaml")
    if nodes:
        run["status"]["nodes"] = nodes
    if missing:
        del run["status"][missing]
    assert health(run, HEALTH)["status"] == ("Progressing" if nodes or missing else "Suspended")


def test_a_stalled_run_without_other_conditions_is_degraded():
    stalled = {"type": STALLED, "status": "True", "reason": "ArgoNotInstalled", "message": "install it"}
    run = run_with({"observedGeneration": 1, "conditions": [stalled]}, 1, 0, archived=False, deleting=False)
    assert health(run, HEALTH) == {"status": "Degraded", "message": "ArgoNotInstalled: install it"}


def test_a_run_that_waits_for_garbage_collection_is_progressing():
    """Degraded would fail the sync of an Argo CD that replaced the run."""
    run = read(KIND / "testdata" / "stalled_previous_workflow.yaml")
    assert any(one["reason"] == PREVIOUS_WORKFLOW for one in run["status"]["conditions"])
    assert health(run, HEALTH)["status"] == "Progressing"


@pytest.mark.parametrize("path", RUNS, ids=name_of)
def test_no_script_fails_on_a_missing_status_field(path: Path):
    """The status may be from an older or a newer version, or edited by hand."""
    run = read(path)
    for place in list(paths(run.get("status"), ("status",))):
        holder = less = deepcopy(run)
        for key in place[:-1]:
            holder = holder[key]
        if isinstance(holder, dict) and place[-1] not in ("type", "reason"):
            holder.pop(place[-1], None)
            assert health(less, HEALTH)["message"], place
            enabled(less)


# ------------------------------------------------------------------------------------------------------------- actions
PATCHES: dict[str, Object] = {
    "stop": {"spec": {"shutdown": "Stop"}},
    "terminate": {"spec": {"shutdown": "Terminate"}},
    "archive": {"metadata": {"labels": {STORAGE_STATE_LABEL: "Archived"}}},
    "unarchive": {"metadata": {"labels": {STORAGE_STATE_LABEL: "Available"}}},
}


@pytest.mark.parametrize("path", RUNS, ids=name_of)
def test_an_action_changes_only_its_fields(path: Path):
    """Empty maps, numbers and lists of the run pass through Lua unchanged."""
    run = read(path)
    for action in enabled(run):
        patch = merge_patch(run, act(run, ACTION[action]))
        if action == "retry":
            removed = {"shutdown": None} if "shutdown" in run["spec"] else {}
            assert patch == {"spec": {"retries": run["status"]["retries"] + 1, **removed}}
        else:
            assert patch == PATCHES[action]


@pytest.mark.parametrize("path", RUNS, ids=name_of)
def test_a_completed_action_is_disabled(path: Path):
    run = read(path)
    for action in enabled(run):
        done = act(run, ACTION[action])
        assert action not in enabled(done)
        assert merge_patch(done, act(done, ACTION[action])) == {}, "it must not request a second retry"


@pytest.mark.parametrize(
    ("phase", "shutdown", "retries", "archived"),
    list(product([None, *Phase], [None, *Shutdown], (0, 1), (False, True))),
    ids=str,
)
def test_the_enabled_actions_depend_on_phase_shutdown_retries_and_archiving(
    phase: Phase | None, shutdown: Shutdown | None, retries: int, archived: bool
):
    run = run_with({"phase": phase.value, "retries": 0} if phase else {}, 1, retries, archived, deleting=False)
    run = with_spec(run, shutdown=shutdown.value) if shutdown else run
    wanted = {"unarchive" if archived else "archive"}
    if not (phase and phase.finished):
        wanted |= {None: {"stop", "terminate"}, "Stop": {"terminate"}, "Terminate": set[str]()}[shutdown]
    if phase in (Phase.FAILED, Phase.ERROR) and not retries and not archived:
        wanted |= {"retry"}
    assert enabled(run) == wanted
    run["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    assert enabled(run) == set()


def test_lua_drops_a_null_in_an_inline_spec():
    """A limitation of Argo CD (docs/gitops.md): the API server rejects the action, because spec.workflow is immutable."""
    run = read(KIND / "testdata" / "running.yaml")
    run["spec"]["workflow"]["spec"]["volumes"] = None
    lost = {"workflow": {"spec": {"volumes": None}}}
    assert merge_patch(run, act(run, ACTION["stop"])) == {"spec": {"shutdown": "Stop", **lost}}


@pytest.mark.parametrize("mark", [*OWNER_LABELS, *OWNER_ANNOTATIONS])
def test_the_page_names_each_label_and_annotation_of_gitops_tools(mark: str):
    assert f"`{mark}`" in (REPOSITORY / "docs" / "gitops.md").read_text()


# -------------------------------------------------------------------------------------------------- the Lua interpreter
def test_lua_has_the_libraries_and_conversions_of_argo_cd():
    for word in ("string", "io", "math", "debug", "python", "os.exit", "('a').upper"):
        with pytest.raises((lua51.LuaError, LuaReturnError)):
            act({}, f"local found = {word}\nassert(found ~= nil)\nreturn {{ a = 1 }}")
    assert act({"a": {}, "b": [{"c": {}}], "d": []}, "obj.e = table.getn(obj.b)\nreturn obj") == {
        "a": {},
        "b": [{"c": {}}],
        "d": [],
        "e": 1,
    }
    for script in ("return { 1, x = 2 }", "return 1", "local t = { 1 }\nreturn { a = t, b = t }"):
        with pytest.raises(LuaReturnError):
            act({}, script)
    with pytest.raises(LuaReturnError):
        health({}, "return { status = 'Fine' }")
