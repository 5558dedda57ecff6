"""Workflows that fail at first and can succeed at a retry: what the tests of retrying go through.

A step made by `flaky` fails for as long as the ConfigMap of its Workflow's name has the key `fail`. Names of nodes
are given without the Workflow's name: `.b` is a task of its DAG, `[1].c` a step of its second group, the empty one its root.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.e2e.cluster import Object
from tests.e2e.manifests import IMAGE, shell

Templates = list[Object]


@dataclass(frozen=True)
class Case:
    """A Workflow, and what of it runs again."""

    name: str
    spec: Object
    again: set[str]
    """The nodes whose pods a retry makes."""
    argo: set[str] | None = None
    """The same for `argo retry`, where it is not the same; docs/decisions/retry.md says why."""
    argo_phase: str = "Succeeded"
    """How the Workflow ends after `argo retry`; Running where it never does."""
    objects: list[Object] = field(default_factory=list)
    """What must be there first."""
    parameters: dict[str, str] = field(default_factory=dict)
    """Further keys that the ConfigMap has at first."""
    healed: dict[str, str] = field(default_factory=dict)
    """The keys that it has when the Workflow is retried."""
    shutdown: str = ""
    """How the Workflow is ended once the node `until` runs."""
    until: str = ""
    resume: bool = False
    """Whether somebody resumes the Workflow after the retry."""


def failing(name: str) -> Object:
    """The variable FAIL, set as long as the step is to fail."""
    reference = {"name": name, "key": "fail", "optional": True}
    return {"name": "FAIL", "valueFrom": {"configMapKeyRef": reference}}


class Book:
    """Collects cases, each with the templates that most of them use."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def add(self, name: str, again: set[str], *templates: Object, entrypoint: str = "main", **options: Any) -> None:
        known = {key: options.pop(key) for key in list(options) if key in Case.__dataclass_fields__}
        spec = {"entrypoint": entrypoint, "templates": [*templates, ok(), PASS, flaky(name), item(name)], **options}
        self.cases.append(Case(name, spec, again, **known))


PASS: Object = {"name": "pass", "suspend": {"duration": "0s"}}
"""Template that succeeds without a pod, for steps that only have to succeed."""


def ok(script: str = "true", name: str = "ok", **template: Any) -> Object:
    return shell(script, name, **template)


def flaky(case: str, script: str = "true", name: str = "flaky", image: str = IMAGE, **template: Any) -> Object:
    made = shell(f'test -z "$FAIL" && {script}', name, **template)
    made["container"].update(env=[failing(case)], image=image)
    return made


def item(case: str, name: str = "item", bad: str = "2", **template: Any) -> Object:
    """A template whose `item` that is `bad` fails, and whose output is that item, said twice."""
    made = flaky(case, name=name, inputs={"parameters": [{"name": "item"}]}, **template)
    made["container"]["args"] = [
        f'test "$1" != {bad} -o -z "$FAIL" && echo "$1$1" > /tmp/out',
        "sh",
        "{{inputs.parameters.item}}",
    ]
    made["outputs"] = {"parameters": [{"name": "out", "valueFrom": {"path": "/tmp/out"}}]}
    return made


def task(name: str, template: str = "ok", after: str = "", **more: Any) -> Object:
    return {"name": name, "template": template, **({"depends": after} if after else {}), **more}


def dag(*tasks: Object, name: str = "main", **more: Any) -> Object:
    given = {key: more.pop(key) for key in ("failFast",) if key in more}
    return {"name": name, "dag": {"tasks": list(tasks), **given}, **more}


def steps(*groups: list[Object], name: str = "main", **more: Any) -> Object:
    return {"name": name, "steps": [list(group) for group in groups], **more}


def given(**values: str) -> Object:
    """Arguments for a task or a step."""
    return {"arguments": {"parameters": [{"name": key, "value": value} for key, value in values.items()]}}


def taking(name: str, *parameters: str) -> Object:
    """A template that says what it was given, as its output parameter `out`."""
    made = shell('echo "$@" > /tmp/out', name, inputs={"parameters": [{"name": one} for one in parameters]})
    made["container"]["args"] += ["sh", *(f"{{{{inputs.parameters.{one}}}}}" for one in parameters)]
    made["outputs"] = {"parameters": [{"name": "out", "valueFrom": {"path": "/tmp/out"}}]}
    return made


def from_config(case: str, *names: str) -> Object:
    """Parameters of a Workflow that Argo reads from the case's ConfigMap each time."""
    return {
        "arguments": {
            "parameters": [{"name": one, "valueFrom": {"configMapKeyRef": {"name": case, "key": one}}} for one in names]
        }
    }


def workflow_template(name: str, *templates: Object, **spec: Any) -> Object:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": name},
        "spec": {"templates": list(templates), **spec},
    }


EACH: Object = given(item="{{item}}")
TWICE: Object = {"retryStrategy": {"limit": "1"}}
book = Book()

# ------------------------------------------------------------------------------------------------------ DAGs and steps
book.add("one-container", {""}, entrypoint="flaky")
book.add("chain", {".b", ".c"}, dag(task("a", "pass"), task("b", "flaky", "a"), task("c", after="b")))
book.add(
    "diamond", {".b", ".d"}, dag(task("a"), task("b", "flaky", "a"), task("c", "pass", "a"), task("d", after="b && c"))
)
book.add(
    "fail-fast-off",
    {".a", ".b"},
    dag(task("a", "flaky"), task("b", after="a"), task("c"), task("d", "pass", "c"), failFast=False),
)
book.add("plain-steps", {"[1].b", "[2].d"}, steps([task("a", "pass")], [task("b", "flaky"), task("c")], [task("d")]))
book.add(
    "dag-in-steps",
    {"[0].x.b", "[1].y"},
    steps([task("x", "inner"), task("z", "pass")], [task("y")]),
    dag(task("a"), task("b", "flaky", "a"), name="inner"),
)
book.add(
    "steps-in-dag",
    {".x[1].b", ".y"},
    dag(task("x", "inner"), task("y", after="x")),
    steps([task("a", "pass")], [task("b", "flaky")], name="inner"),
)
book.add("skipped", {"[1].b"}, steps([task("a", when="1 == 2"), task("c", "pass")], [task("b", "flaky")]))
book.add(
    "continue-on",
    {"[2].c"},
    steps([task("a", "flaky", continueOn={"failed": True})], [task("b", "pass")], [task("c", "flaky")]),
)
book.add(
    "continue-on-beside",
    {".a", ".c"},
    dag(task("a", "flaky", continueOn={"failed": True}), task("b", "pass"), task("c", "flaky", dependencies=["b"])),
)

# ------------------------------------------------------------------------------------------------------------- fan-outs
JOINED: Object = given(all="{{tasks.fan.outputs.parameters.out}}")
book.add(
    "with-items",
    {".fan(1:2)", ".join"},
    dag(task("fan", "item", withItems=[1, 2, 3], **EACH), task("join", "join", "fan", **JOINED)),
    taking("join", "all"),
)
book.add(
    "with-items-in-steps",
    {"[0].fan(1:2)", "[1].join"},
    steps(
        [task("fan", "item", withItems=[1, 2], **EACH)],
        [task("join", "join", **given(all="{{steps.fan.outputs.parameters.out}}"))],
    ),
    taking("join", "all"),
)
book.add(
    "with-param",
    {".fan(1:2)", ".join"},
    dag(
        task("make", "make"),
        task("fan", "item", "make", withParam="{{tasks.make.outputs.parameters.list}}", **EACH),
        task("join", "join", "fan", **JOINED),
    ),
    ok(
        "echo '[1, 2]' > /tmp/list",
        "make",
        outputs={"parameters": [{"name": "list", "valueFrom": {"path": "/tmp/list"}}]},
    ),
    taking("join", "all"),
)
book.add(
    "with-sequence",
    {".fan(1:2)"},
    dag(task("fan", "item", withSequence={"start": "1", "count": "2"}, **EACH), task("join", "pass", "fan")),
)
book.add(
    "nested-fan-out",
    {".outer(0:1).fan(1:2)", ".outer(0:1).join", ".outer(1:2).fan(1:2)", ".outer(1:2).join"},
    dag(task("outer", "inner", withItems=[1, 2]), task("join", "pass", "outer")),
    dag(task("fan", "item", withItems=[1, 2], **EACH), task("join", after="fan"), name="inner"),
)

# ------------------------------------------------------------------------------------------------------- retryStrategy
book.add(
    "retried-leaf",
    {".a(0)", ".b"},
    dag(task("a", "twice"), task("b", after="a")),
    flaky("retried-leaf", name="twice", **TWICE),
)
book.add(
    "retried-before",
    {".b"},
    dag(task("a", "twice"), task("b", "flaky", "a"), task("c", "pass", "b")),
    ok("test {{retries}} = 1", "twice", **TWICE),
)
book.add(
    "retried-steps",
    {".a(1)[1].y", ".b"},
    dag(task("a", "twice"), task("b", after="a")),
    steps([task("x")], [task("y", "flaky")], name="twice", **TWICE),
    argo=set(),
    argo_phase="Running",
)
book.add(
    "retried-steps-before",
    {".b"},
    dag(task("a", "twice"), task("b", "flaky", "a")),
    steps([task("x", "second", **given(n="{{retries}}"))], name="twice", **TWICE),
    ok('test "{{inputs.parameters.n}}" = 1', "second", inputs={"parameters": [{"name": "n"}]}),
    argo={".b", ".a(2)[0].x"},
    argo_phase="Running",
)
book.add(
    "retried-items",
    {".fan(1:2)(0)"},
    dag(task("fan", "twice", withItems=[1, 2], **EACH), task("join", "pass", "fan")),
    item("retried-items", "twice", **TWICE),
)

# ----------------------------------------------------------------------------------------------------- exits and hooks
book.add("exit-handler", {".a", ".onExit"}, dag(task("a", "flaky")), onExit="ok")
book.add("exit-handler-failed", {".onExit"}, dag(task("a", "pass")), onExit="flaky")
book.add(
    "exit-hook",
    {".a", ".a.onExit", ".b"},
    dag(task("a", "flaky", hooks={"exit": {"template": "ok"}}), task("b", after="a")),
    argo=set(),
    argo_phase="Failed",
)
book.add(
    "hook-of-a-step",
    {"[0].a", "[0].a.hooks.done"},
    steps(
        [
            task(
                "a",
                "flaky",
                hooks={"done": {"template": "ok", "expression": 'steps["a"].status in ["Failed", "Succeeded"]'}},
            )
        ]
    ),
    argo=set(),
    argo_phase="Failed",
)
book.add(
    "hook-of-the-workflow",
    {".a", ".hooks.running"},
    dag(task("a", "flaky")),
    hooks={"running": {"template": "ok", "expression": 'workflow.status == "Running"'}},
    argo={".a"},
)
book.add(
    "cleaned-up",
    {".a", ".d"},
    dag(task("a", "flaky"), task("tidy", after="a.Failed"), task("d", after="a")),
    argo=set(),
    argo_phase="Failed",
)

# ----------------------------------------------------------------------------------------------- other kinds of template
book.add(
    "container-set",
    {".a", ".b"},
    dag(task("a", "set"), task("b", after="a")),
    {
        "name": "set",
        "containerSet": {
            "containers": [
                {"name": "first", "image": IMAGE, "command": ["true"]},
                {
                    "name": "second",
                    "image": IMAGE,
                    "command": ["sh", "-c", 'test -z "$FAIL"'],
                    "env": [failing("container-set")],
                    "dependencies": ["first"],
                },
            ]
        },
    },
)
book.add(
    "template-ref",
    {"[1].b"},
    steps(
        [{"name": "a", "templateRef": {"name": "lib-ref", "template": "ok"}}],
        [{"name": "b", "templateRef": {"name": "lib-ref", "template": "flaky"}}],
    ),
    objects=[workflow_template("lib-ref", ok(), flaky("template-ref"))],
)
book.cases.append(
    Case(
        "workflow-template-ref",
        {"workflowTemplateRef": {"name": "whole"}},
        {"[1].b"},
        objects=[
            workflow_template(
                "whole",
                steps([task("a")], [task("b", "flaky")]),
                ok(),
                flaky("workflow-template-ref"),
                entrypoint="main",
            )
        ],
    )
)
book.add(
    "script-output",
    {"[1].b"},
    steps([task("a", "say")], [task("b", "hear", **given(said="{{steps.a.outputs.result}}"))]),
    {"name": "say", "script": {"image": IMAGE, "command": ["sh"], "source": "echo heard"}},
    flaky(
        "script-output", 'test "{{inputs.parameters.said}}" = heard', "hear", inputs={"parameters": [{"name": "said"}]}
    ),
)
book.add(
    "artifact",
    {".b"},
    dag(
        task("a", "make"),
        task("b", "use", "a", arguments={"artifacts": [{"name": "x", "from": "{{tasks.a.outputs.artifacts.x}}"}]}),
    ),
    ok("echo kept > /tmp/x", "make", outputs={"artifacts": [{"name": "x", "path": "/tmp/x"}]}),
    flaky("artifact", "grep kept /tmp/x", "use", inputs={"artifacts": [{"name": "x", "path": "/tmp/x"}]}),
)
book.add(
    "daemon",
    {"[0].d", "[1].b"},
    steps([task("d", "serve")], [task("b", "ask", **given(ip="{{steps.d.ip}}"))]),
    ok("mkdir /tmp/w && echo up > /tmp/w/x && httpd -f -p 8080 -h /tmp/w", "serve", daemon=True),
    flaky(
        "daemon",
        "curl -sSf --max-time 5 http://{{inputs.parameters.ip}}:8080/x",
        "ask",
        image="curlimages/curl:8.11.0",
        inputs={"parameters": [{"name": "ip"}]},
    ),
    argo={"[1].b"},
    argo_phase="Failed",
)

# ----------------------------------------------------------------------------------------- failures without a failed pod
book.add(
    "suspended-before",
    {"[1].b"},
    steps([task("a", "pause")], [task("b", "flaky")]),
    {"name": "pause", "suspend": {"duration": "1"}},
)
book.add(
    "terminated-while-suspended",
    {"[2].b"},
    steps([task("a", "pass")], [task("wait", "pause")], [task("b")]),
    {"name": "pause", "suspend": {}},
    shutdown="Terminate",
    until="[1].wait",
    resume=True,
    argo=set(),
    argo_phase="Failed",
)
SLEEP = 'if [ -n "$FAIL" ]; then exec sleep 600; fi'


def sleepy(case: str, **template: Any) -> Object:
    made = flaky(case, name="sleepy", **template)
    made["container"]["args"] = [SLEEP]
    return made


book.add(
    "terminated",
    {".b", ".c"},
    dag(task("a"), task("b", "sleepy", "a"), task("c", after="b")),
    sleepy("terminated"),
    shutdown="Terminate",
    until=".b",
)
book.add(
    "stopped",
    {".a(0)", ".c", ".onExit"},
    dag(task("b", "pass"), task("a", "sleepy", "b"), task("c", after="a")),
    sleepy("stopped", **TWICE),
    onExit="ok",
    shutdown="Stop",
    until=".a(0)",
)
book.add(
    "deadline",
    {".b", ".c"},
    dag(task("a"), task("b", "sleepy", "a"), task("c", after="b")),
    sleepy("deadline"),
    activeDeadlineSeconds=25,
)
book.add(
    "pod-refused",
    {"[1].b"},
    steps([task("a", "pass")], [task("b", "patched")]),
    ok(name="patched", podSpecPatch="{{workflow.parameters.patch}}"),
    **from_config("pod-refused", "patch"),
    parameters={"patch": '{"containers":[{"name":"main","resources":{"limits":{"cpu":"-1"}}}]}'},
    healed={"patch": "{}"},
)
book.add(
    "items-unreadable",
    {"[1].fan(0:1)", "[1].fan(1:2)"},
    steps([task("a", "pass")], [task("fan", withParam="{{workflow.parameters.items}}")]),
    **from_config("items-unreadable", "items"),
    parameters={"items": "no list"},
    healed={"items": "[1, 2]"},
    argo=set(),
    argo_phase="Failed",
)
book.add(
    "when-unreadable",
    {".b", ".c"},
    dag(task("a", "pass"), task("b", after="a", when="{{workflow.parameters.when}}"), task("c", after="b")),
    **from_config("when-unreadable", "when"),
    parameters={"when": "(("},
    healed={"when": "1 == 1"},
    argo=set(),
    argo_phase="Error",
)

CASES = book.cases
