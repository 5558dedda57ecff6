"""docs/list.md: each command of its tables, run as it stands there, finds exactly the runs that it says it finds."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.cluster import Kubectl, Object, finished, stalled
from tests.e2e.conftest import REPOSITORY, Apply, WaitRun
from tests.e2e.manifests import instant, of_spec, suspended, workflow
from tests.e2e.storage import archived, set_state

PAGE = REPOSITORY / "docs" / "list.md"
NOON = "2026-11-24T12:00:00Z"
"""The time that the page's commands compare with; the test puts another one there."""


# ----------------------------------------------------------------------------------------------------- what there is
@dataclass(frozen=True)
class Made:
    """One run of the list, and what is known of it beforehand."""

    phase: str
    spec: Object = field(default_factory=lambda: {"workflow": {"spec": instant()}})
    experiment: str = ""
    archived: bool = False
    late: bool = False
    """Whether it was created after the time that the commands compare with, and ended after it too."""
    early_by_plan: bool = False
    accuracy: float | None = None

    def of(self, *path: str) -> Any:
        """A field of the spec; None where it is absent."""
        found: Any = self.spec
        for key in path:
            found = (found or {}).get(key)
        return found


def of(source: Object | None = None, **fields: Any) -> Object:
    return {"workflow": source or {"spec": instant()}, **fields}


def template(name: str) -> Object:
    return {"templateRef": {"name": name}}


MAY_BE_READ = {"runwright.dev/manifest": "true"}
SHARED = {"manifestFrom": {"configMapKeyRef": {"name": "shared", "key": "workflow.yaml"}}}
FAILS = {"spec": suspended(activeDeadlineSeconds=1)}
GOES = {"spec": suspended()}


def experiment(number: str, **more: Any) -> Object:
    return {"type": "EXPERIMENT", "id": number, **more}


RUNS = {
    "churn-1": Made(
        "Succeeded",
        of(
            displayName="Nightly training",
            description="A baseline",
            references=[experiment("42"), {"type": "JOB", "id": "7", "relationship": "CREATOR"}],
            pipeline={"id": "p-7", "name": "train"},
        ),
        experiment="churn",
    ),
    "churn-2": Made("Failed", of(FAILS, displayName="Nightly training", pipeline={"id": "p-7"}), experiment="churn"),
    "churn-3": Made("Succeeded", of(displayName="Weekly training"), experiment="churn", archived=True),
    "fraud-1": Made(
        "Succeeded",
        of(serviceAccountName="robot", references=[experiment("43"), {"type": "JOB", "id": "42"}]),
        experiment="fraud",
    ),
    "fraud-2": Made("Failed", of(FAILS, displayName="Scoring, nightly"), experiment="fraud", archived=True),
    "spam-1": Made("Succeeded", of(references=[experiment("42")]), experiment="spam"),
    "daily-1": Made("Succeeded", of(template("daily"))),
    "daily-2": Made("Succeeded", of(template("daily"), pipeline={"id": "p-8"})),
    "daily-3": Made("Succeeded", of(template("daily")), archived=True),
    "hourly-1": Made("Succeeded", of(template("hourly"), serviceAccountName="robot")),
    "shared-1": Made("Succeeded", of(SHARED)),
    "shared-2": Made("Succeeded", of(SHARED), archived=True),
    "ended-1": Made("Failed", of(shutdown="Terminate")),
    "ended-2": Made("Failed", of(shutdown="Stop")),
    "lost-1": Made("Error", of(GOES)),
    "lost-2": Made("Error", of(GOES, serviceAccountName="robot")),
    "skipped-1": Made("Skipped", of(template("absent"))),
    "metric-1": Made("Succeeded", accuracy=0.5),
    "metric-2": Made("Succeeded", accuracy=0.95),
    "metric-3": Made("Succeeded", accuracy=0.9),
    "wait-1": Made("Running", of(GOES, serviceAccountName="robot"), experiment="churn", late=True),
    "wait-2": Made("Running", of(GOES, description="after the BASELINE"), late=True),
    "wait-3": Made("Running", of(GOES), late=True),
    "stalled-1": Made("Pending", of(template("absent"), displayName="nightly"), late=True),
    "late-1": Made("Succeeded", of(displayName="Nightly scoring"), late=True),
    "late-2": Made("Failed", of(FAILS), late=True),
    "late-3": Made("Succeeded", late=True, early_by_plan=True),
}
ENDED = ("Succeeded", "Skipped", "Failed", "Error")

# ------------------------------------------------------------------------------------------------------ what is found
FILTERS: dict[str, Callable[[str, Made], bool]] = {
    "all": lambda _, run: True,
    "reference `NAMESPACE`": lambda _, run: True,
    "reference `EXPERIMENT`, `JOB` …, by a label of yours": lambda _, run: run.experiment == "churn",
    "… one of several": lambda _, run: run.experiment in ("churn", "fraud"),
    "… none": lambda _, run: run.experiment == "",
    "`id` EQUALS": lambda name, run: name == "churn-1",
    "`name` EQUALS": lambda _, run: run.of("displayName") == "Nightly training",
    "`status` EQUALS": lambda _, run: run.phase == "Running",
    "`status` NOT_EQUALS": lambda _, run: run.phase != "Succeeded",
    "`status` IN Failed, Error": lambda _, run: run.phase in ("Failed", "Error"),
    "has not ended": lambda _, run: run.phase not in ENDED,
    "`storage_state` EQUALS archived": lambda _, run: run.archived,
    "`storage_state` NOT_EQUALS archived": lambda _, run: not run.archived,
    "archiving is finished": lambda _, run: run.archived,
    "two at once: failed and not archived": lambda _, run: run.phase == "Failed" and not run.archived,
    "service account": lambda _, run: run.of("serviceAccountName") == "robot",
    "pipeline": lambda _, run: run.of("pipeline", "id") == "p-7",
    "template": lambda _, run: run.of("workflow", "templateRef", "name") == "daily",
    "manifest in a ConfigMap": lambda _, run: run.of("workflow", "manifestFrom") is not None,
    "requested to end early": lambda _, run: run.of("shutdown") == "Terminate",
    "`created_at` LESS_THAN": lambda _, run: not run.late,
    "`created_at` GREATER_THAN_EQUALS": lambda _, run: run.late,
    "`scheduled_at` LESS_THAN": lambda _, run: not run.late or run.early_by_plan,
    "finished before": lambda _, run: not run.late,
    "failed, and finished since": lambda _, run: run.phase == "Failed" and run.late,
    "`name` IS_SUBSTRING": lambda _, run: "nightly" in (run.of("displayName") or "").lower(),
    "`description` IS_SUBSTRING": lambda _, run: "baseline" in (run.of("description") or "").lower(),
    "reference `EXPERIMENT`, without a label": lambda name, _: name in ("churn-1", "spam-1"),
}


def metric(run: Object) -> float | None:
    return next((one["value"] for one in run["status"].get("metrics", [])), None)


SORTS: dict[str, tuple[Callable[[Object], Any], bool]] = {
    "`created_at`": (lambda run: run["metadata"]["creationTimestamp"], False),
    "`created_at desc`": (lambda run: run["metadata"]["creationTimestamp"], True),
    "`id`": (lambda run: run["metadata"]["name"], False),
    "`name`": (lambda run: run["spec"].get("displayName"), False),
    "`description`": (lambda run: run["spec"].get("description"), False),
    "`scheduled_at`": (lambda run: run["status"]["scheduledAt"], False),
    "`status`": (lambda run: run["status"]["phase"], False),
    "`storage_state`": (lambda run: run["status"].get("storageState"), False),
    "`metric:accuracy`": (metric, False),
    "by end": (lambda run: run["status"].get("finishedAt"), False),
}
"""What each command sorts by, and whether the greatest comes first. Those without it are the least."""


# --------------------------------------------------------------------------------------------------- the page's commands
def commands() -> dict[str, str]:
    """What the tables of the page say, and the command for it."""
    rows = re.findall(r"^\| (.+?) \| `(kubectl .+)` \|$", PAGE.read_text(), re.MULTILINE)
    assert len(rows) == len(dict(rows)), "two rows say the same"
    return {what: command.replace("\\|", "|") for what, command in rows}


class Shell:
    """bash, whose kubectl works in the test's namespace."""

    def __init__(self, kubectl: Kubectl, namespace: str, folder: Path) -> None:
        config = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        config["contexts"][0]["context"]["namespace"] = namespace
        self._kubeconfig = folder / "kubeconfig"
        self._kubeconfig.write_text(json.dumps(config))
        self._kubeconfig.chmod(0o600)

    def runs(self, command: str) -> list[str]:
        """The runs that a command prints, in its order."""
        environment = os.environ | {"KUBECONFIG": str(self._kubeconfig)}
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60, env=environment
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return [line.split()[0] for line in done.stdout.splitlines() if line.split()[0] in RUNS]


def create(kubectl: Kubectl, namespace: str, runs: dict[str, Made]) -> None:
    documents: list[Object] = []
    for name, run in runs.items():
        labels = {"labels": {"experiment": run.experiment}} if run.experiment else {}
        documents.append(of_spec(run.spec, name, **labels))
    items = {"apiVersion": "v1", "kind": "List", "items": documents}
    kubectl("create", "-n", namespace, "-f", "-", input=json.dumps(items))


def wait_all(kubectl: Kubectl, namespace: str, until: Callable[[str, Object], bool], names: list[str]) -> list[Object]:
    """The runs of these names, once it is so of each."""
    found: dict[str, Object] = {}
    for _, run in kubectl.watch(namespace, "prun"):
        name = run["metadata"]["name"]
        if name in names and until(name, run):
            found[name] = run
        if len(found) == len(names):
            return list(found.values())
    raise AssertionError(f"it did not come to it: {set(names) - set(found)}")


def in_its_phase(name: str, run: Object) -> bool:
    return (run.get("status") or {}).get("phase") == RUNS[name].phase


@pytest.fixture
def noon(kubectl: Kubectl, namespace: str, apply: Apply, wait_run: WaitRun, operator: None) -> str:
    """All runs are there and as they are to be; the time before which the early ones were created and had ended."""
    for name in ("daily", "hourly"):
        apply({"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": {"name": name}} | SPEC)
    apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}})
    data = {"workflow.yaml": yaml.safe_dump(workflow(instant()))}
    apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared", "labels": MAY_BE_READ}, "data": data}
    )

    early = {name: run for name, run in RUNS.items() if not run.late}
    create(kubectl, namespace, early)
    lost = [name for name, run in early.items() if run.phase == "Error"]
    wait_all(kubectl, namespace, lambda _, run: (run.get("status") or {}).get("phase") == "Running", lost)
    kubectl("delete", "-n", namespace, "workflow", *lost)
    # No Workflow of Argo's is ever Skipped; run.proto has the word, and another client may write it.
    found = wait_run("skipped-1", lambda run: bool(stalled(run)))
    now = found["status"]["conditions"][0]["lastTransitionTime"]
    kubectl.patch_status(namespace, "prun", "skipped-1", {"phase": "Skipped", "finishedAt": now})
    ended = wait_all(kubectl, namespace, in_its_phase, list(early))
    for name, run in early.items():
        if run.accuracy is not None:
            metrics = [{"name": "accuracy", "nodeID": name, "value": run.accuracy}]
            kubectl.patch_status(namespace, "prun", name, {"metrics": metrics})
    away = [name for name, run in early.items() if run.archived]
    set_state(kubectl, namespace, " ".join(away), "Archived")

    last = max(run["status"]["finishedAt"] for run in ended)
    assert any(server_time(kubectl, namespace) > last for _ in range(100)), "the clock stands still"
    late = {name: run for name, run in RUNS.items() if run.late}
    create(kubectl, namespace, late)
    created = [run["metadata"]["creationTimestamp"] for run in wait_all(kubectl, namespace, in_its_phase, list(late))]
    for name in [name for name, run in late.items() if run.early_by_plan]:
        kubectl.patch_status(namespace, "prun", name, {"scheduledAt": "2020-01-01T00:00:00Z"})
    wait_all(kubectl, namespace, lambda _, run: archived(run), away)
    return min(created)


SPEC = {"spec": instant()}


def server_time(kubectl: Kubectl, namespace: str) -> str:
    """What the API server's clock says, in whole seconds."""
    command = ("create", "-n", namespace, "configmap", "time", "--dry-run=server")
    return kubectl(*command, "-o", "jsonpath={.metadata.creationTimestamp}")


def test_commands_of_the_list_page_print_what_it_shows(kubectl: Kubectl, namespace: str, noon: str, tmp_path: Path):
    shell, rows = Shell(kubectl, namespace, tmp_path), commands()
    assert set(rows) == set(FILTERS) | set(SORTS)
    everything = kubectl.list(namespace, "prun")
    assert {run["metadata"]["name"] for run in everything} == set(RUNS)
    by_name = {run["metadata"]["name"]: run for run in everything}

    wrong: list[str] = []
    for what, matches in FILTERS.items():
        command = rows[what].replace(NOON, noon).replace("-n ml", f"-n {namespace}")
        found, expected = set(shell.runs(command)), {name for name, run in RUNS.items() if matches(name, run)}
        if found != expected:
            wrong.append(f"{what}: {command}: too many {found - expected}, missing {expected - found}")
        assert expected, what
    for what, (key, descending) in SORTS.items():
        names = shell.runs(rows[what])
        keys = [(key(by_name[name]) is not None, key(by_name[name])) for name in names]
        ordered = sorted(keys, key=lambda one: (one[0], one[1] if one[0] else 0), reverse=descending)
        if set(names) != set(RUNS) or keys != ordered:
            wrong.append(f"{what}: {rows[what]}: {list(zip(names, keys, strict=True))}")
    assert wrong == []
    assert all(finished(run) is (RUNS[name].phase in ENDED) for name, run in by_name.items())


def test_pages_of_a_list_are_of_one_moment(kubectl: Kubectl, namespace: str, apply: Apply):
    """A list in parts is of one moment: what is created meanwhile is not in the later ones."""
    apply(
        {"apiVersion": "v1", "kind": "List", "items": [of_spec(of(template("absent")), f"run-{n}") for n in range(5)]}
    )
    path = f"/apis/runwright.dev/v1alpha1/namespaces/{namespace}/pipelineruns?limit=2"
    first = json.loads(kubectl("get", "--raw", path))
    assert [run["metadata"]["name"] for run in first["items"]] == ["run-0", "run-1"]
    assert first["metadata"]["remainingItemCount"] == 3
    apply(of_spec(of(template("absent")), "run-3a"))
    token, names = first["metadata"]["continue"], list[str]()
    while token:
        part = json.loads(kubectl("get", "--raw", f"{path}&continue={token}"))
        names += [run["metadata"]["name"] for run in part["items"]]
        token = part["metadata"].get("continue")
    assert names == ["run-2", "run-3", "run-4"]
