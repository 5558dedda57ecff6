"""Objects that a tenant with `edit` in one namespace sends to the API server to harm the others. Pure and seeded.

An object refers to another one by `@@uid:NAME@@`, which the sender replaces by the uid of the run of that name.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.e2e.cluster import Object
from tests.e2e.hostile_values import (
    DEPTHS,
    OBJECT_BYTES,
    PACKED,
    STYLES,
    Raw,
    document,
    near_names,
    nested,
    odd_text,
    odd_values,
    packed,
    plane_text,
    yaml_texts,
)
from tests.e2e.manifests import instant, of_kind, of_spec, suspended

RUN_LABEL = "runwright.dev/run"
PLURALS = {
    "PipelineRun": "apis/runwright.dev/v1alpha1/namespaces/{}/pipelineruns",
    "PipelineExperiment": "apis/runwright.dev/v1alpha1/namespaces/{}/pipelineexperiments",
    "RetentionPolicy": "apis/runwright.dev/v1alpha1/namespaces/{}/retentionpolicies",
    "WorkflowSnapshot": "apis/runwright.dev/v1alpha1/namespaces/{}/workflowsnapshots",
    "Workflow": "apis/argoproj.io/v1alpha1/namespaces/{}/workflows",
    "WorkflowTemplate": "apis/argoproj.io/v1alpha1/namespaces/{}/workflowtemplates",
    "ConfigMap": "api/v1/namespaces/{}/configmaps",
}


@dataclass(frozen=True)
class Attempt:
    """One request to the API server. `trick` names the kind, `variant` what distinguishes this one."""

    trick: str
    variant: str
    verb: str
    kind: str
    name: str
    body: bytes


def create(trick: str, variant: str, found: Object) -> Attempt:
    """Create an object."""
    return Attempt(trick, variant, "POST", found["kind"], found["metadata"]["name"], document(found))


def edit(trick: str, variant: str, kind: str, name: str, patch: Any) -> Attempt:
    """Merge a patch into an object."""
    return Attempt(trick, variant, "PATCH", kind, name, document(patch))


def delete(trick: str, kind: str, name: str) -> Attempt:
    """Delete an object."""
    return Attempt(trick, "", "DELETE", kind, name, b"")


def owned(run: str, spec: Any = None, uid: str = "", **fields: Any) -> Object:
    """A Workflow that names the run as its owner: by its true uid, or by another one."""
    owner = {
        "apiVersion": "runwright.dev/v1alpha1",
        "kind": "PipelineRun",
        "name": run,
        "uid": uid or f"@@uid:{run}@@",
        "controller": True,
    }
    metadata = {"name": run, "labels": {RUN_LABEL: run}, "ownerReferences": [owner]}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": metadata,
        "spec": suspended() if spec is None else spec,
        **fields,
    }


class Objects:
    """Generates attempts; each trick is a method that yields some."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._number = 0

    def tricks(self) -> dict[str, Callable[[], Iterator[Attempt]]]:
        """Every trick by name."""
        return {
            name.removeprefix("do_"): getattr(self, name) for name in sorted(vars(Objects)) if name.startswith("do_")
        }

    def generate(self) -> list[Attempt]:
        """All attempts, in an order that the seed decides; those of one trick stay in order."""
        queues = {name: list(trick()) for name, trick in self.tricks().items()}
        found: list[Attempt] = []
        while queues:
            name = self._chance.choice(sorted(queues))
            found.append(queues[name].pop(0))
            if not queues[name]:
                del queues[name]
        return found

    def _name(self, what: str) -> str:
        self._number += 1
        return f"{what}-{self._number}"

    def _cases(self, *values: Any, count: int) -> list[Any]:
        return [values[number % len(values)] for number in range(count)]

    # ------------------------------------------------------------------------------------------------ PipelineRuns
    def do_deep_run(self) -> Iterator[Attempt]:
        for depth in DEPTHS:
            style = self._chance.choice(STYLES)
            deep = Raw(nested(depth, style))
            spec = instant(**self._chance.choice(({"x": deep}, {"arguments": deep}, {"podSpecPatch": deep})))
            yield create("deep run", f"{depth} {style}", of_spec({"workflow": {"spec": spec}}, self._name("deep")))

    def do_wide_run(self) -> Iterator[Attempt]:
        count = OBJECT_BYTES // 30
        wide: dict[str, Any] = {
            "maps": {"x": [{}] * (OBJECT_BYTES // 4)},
            "numbers": {"x": [0] * (OBJECT_BYTES // 3)},
            "keys": {str(number): None for number in range(count)},
            "templates": {"templates": [{"name": f"t{number}"} for number in range(count)]},
            "parameters": {"arguments": {"parameters": [{"name": f"p{number}"} for number in range(count)]}},
        }
        for variant, spec in wide.items():
            run = of_spec({"workflow": {"spec": instant() | spec}}, self._name("wide"))
            yield create("wide run", variant, run)

    def do_large_run(self) -> Iterator[Attempt]:
        for length in (130_000, 300_000, 1_000_000):
            run = of_spec({"workflow": {"spec": instant(x=odd_text(self._chance, length))}}, self._name("large"))
            yield create("large run", str(length), run)
        for length in (OBJECT_BYTES, 2 * OBJECT_BYTES, 3 * OBJECT_BYTES):
            run = of_spec({"workflow": {"spec": instant(x="y" * length)}}, self._name("large"))
            yield create("large run", f"{length} bytes", run)

    def do_manifest(self) -> Iterator[Attempt]:
        for variant, text in yaml_texts(self._chance).items():
            run = of_spec({"workflow": {"manifest": text[:1_000_000]}}, self._name("manifest"))
            yield create("manifest", variant, run)

    def do_macros(self) -> Iterator[Attempt]:
        for text in ("[[" * 32_000, "{{" * 32_000, "{{a}}" * 13_000, "[[" * 16_000 + "]]" * 16_000, "{{=" * 20_000):
            spec = instant(arguments={"parameters": [{"name": "a", "value": text}]})
            yield create("macros", text[:3], of_spec({"workflow": {"spec": spec}}, self._name("macros")))
            values = [{"name": "a", "value": text}]
            run = of_spec({"workflow": {"spec": spec}, "parameters": values}, self._name("macros"))
            yield create("macros", f"{text[:3]} given", run)

    def do_near_names(self) -> Iterator[Attempt]:
        for count, length in ((60, 198), (500, 250)):
            declared = near_names(self._chance, count, length)
            given = near_names(self._chance, 500, length)
            spec = instant(arguments={"parameters": [{"name": one, "value": ""} for one in declared]})
            parameters = [{"name": one, "value": "1"} for one in given]
            run = of_spec({"workflow": {"spec": spec}, "parameters": parameters}, self._name("near"))
            yield create("near names", f"{count} of {length}", run)

    def do_longest_strings(self) -> Iterator[Attempt]:
        for variant in ("planes", "odd", "odd", "odd"):
            text = plane_text if variant == "planes" else odd_text
            spec = {
                "displayName": text(self._chance, 255),
                "description": text(self._chance, 4096),
                "serviceAccountName": text(self._chance, 253),
                "workflow": {"templateRef": {"name": text(self._chance, 253)}},
                "parameters": [
                    {"name": text(self._chance, 200) + str(n), "value": text(self._chance, 9_000)} for n in range(12)
                ],
                "references": [{"type": "JOB", "id": text(self._chance, 249) + str(n)} for n in range(64)],
                "pipeline": {"id": text(self._chance, 253), "manifest": text(self._chance, 60_000)},
            }
            yield create("longest strings", variant, of_spec(spec, self._name("strings")))
        name = "n" * 240 + self._name("")
        labels = {f"{'a' * 60}{n}.{'b' * 60}/{'k' * 63}": "v" * 63 for n in range(500)}
        found = of_spec({"workflow": {"spec": instant()}}, name, labels=labels, annotations={"a": "x" * 250_000})
        yield create("longest strings", "name and labels", found)

    def do_references(self) -> Iterator[Attempt]:
        for one in (
            "default",
            "kube-system",
            "a/b",
            "..",
            ".",
            "a\nb",
            "%2e%2e",
            "?watch=true",
            "x" * 253,
            "\U0001f4a3",
        ):
            for kind in ("NAMESPACE", "EXPERIMENT"):
                references = [{"type": kind, "id": one, "name": one}]
                spec = {"workflow": {"spec": instant()}, "references": references}
                yield create("references", f"{kind} {one[:20]!r}", of_spec(spec, self._name("refers")))
        for name in ("a/b", "..", "../../../namespaces/default/secrets/x", "a?b=c", "a#b", "a%2fb", "A", "\n"):
            for spec in (
                {"workflow": {"templateRef": {"name": name, "clusterScope": self._chance.random() < 0.5}}},
                {"workflow": {"manifestFrom": {"configMapKeyRef": {"name": name, "key": name}}}},
                {"workflow": {"spec": instant()}, "serviceAccountName": name},
            ):
                yield create("references", repr(name), of_spec(spec, self._name("refers")))

    def do_metadata(self) -> Iterator[Attempt]:
        marks = {
            "runwright.dev/attempt": "9" * 30,
            "runwright.dev/generation": "-1",
            "runwright.dev/source-digest": "\n",
            "runwright.dev/restored-from": "x",
            "argocd.argoproj.io/tracking-id": "a:b",
            "workflows.argoproj.io/pod-gc-strategy": "OnPodSuccess/" * 99,
        }
        labels = {"runwright.dev/storage-state": "x", "runwright.dev/delete-on": "x", RUN_LABEL: "other"}
        yield create(
            "metadata",
            "marks",
            of_spec({"workflow": {"spec": instant()}}, self._name("meta"), annotations=marks, labels=labels),
        )
        manifest = document(
            {
                "kind": "Workflow",
                "metadata": {"annotations": marks, "labels": labels, "name": "../x"},
                "spec": instant(workflowMetadata={"annotations": marks, "labels": labels}),
            }
        )
        yield create(
            "metadata", "in the manifest", of_spec({"workflow": {"manifest": manifest.decode()}}, self._name("meta"))
        )
        for duration in ("99999999999999999999999999d", "0.0000000001ms", "1" * 31 + "s", "0s"):
            retention = {"archiveAfter": duration, "deleteAfter": duration, "keepWorkflow": duration}
            spec = {"workflow": {"spec": instant()}, "retention": retention, "retries": 1000}
            yield create("metadata", f"retention {duration[:9]}", of_spec(spec, self._name("meta")))

    def do_edits(self) -> Iterator[Attempt]:
        name = self._name("edited")
        yield create("edits", "create", of_spec({"workflow": {"spec": instant(x="y" * 200_000)}}, name))
        for number in range(60):
            state = self._chance.choice(("Archived", "Available", "x" * 63, None))
            yield edit(
                "edits", "label", "PipelineRun", name, {"metadata": {"labels": {"runwright.dev/storage-state": state}}}
            )
            spec = {
                "description": odd_text(self._chance, 4_000),
                "workflow": {"spec": instant(x=str(number) * 100_000)},
            }
            if number % 10 == 0:
                yield edit("edits", "spec", "PipelineRun", name, {"spec": spec})
        yield delete("edits", "PipelineRun", name)

    def do_finalizers(self) -> Iterator[Attempt]:
        for _ in range(5):
            name = self._name("stays")
            found = of_spec({"workflow": {"spec": instant()}}, name, finalizers=["example.com/stays"])
            yield create("finalizers", "create", found)
            yield delete("finalizers", "PipelineRun", name)
            yield edit("finalizers", "label", "PipelineRun", name, {"metadata": {"labels": {"a": "b"}}})

    def do_flood(self) -> Iterator[Attempt]:
        for number in range(250):
            name = self._name("flood")
            yield create("flood", "create", of_spec({"workflow": {"spec": suspended()}}, name))
            if number % 3 == 0:
                yield delete("flood", "PipelineRun", name)

    def do_status(self) -> Iterator[Attempt]:
        name = self._name("status")
        yield create(
            "status", "create", of_spec({"workflow": {"spec": instant()}}, name) | {"status": {"phase": "Succeeded"}}
        )
        for verb in ("PATCH", "PUT"):
            yield Attempt(
                "status", verb, verb, "PipelineRun", f"{name}/status", document({"status": {"phase": "Failed"}})
            )

    # --------------------------------------------------------------------------------------------------- Workflows
    def _with_run(self, what: str, trick: str) -> tuple[str, Attempt]:
        """A run without a Workflow of its own, whose name the attacker gives to a Workflow."""
        name = self._name(what)
        # The template comes never: the name of the run's Workflow stays free for the attacker's.
        return name, create(trick, "run", of_spec({"workflow": {"templateRef": {"name": f"none-{name}"}}}, name))

    def do_deep_workflow(self) -> Iterator[Attempt]:
        for depth in DEPTHS:
            name, run = self._with_run("deep-wf", "deep workflow")
            yield run
            deep = Raw(nested(depth, self._chance.choice(STYLES)))
            status = self._chance.choice(({"x": deep}, {"nodes": deep}, {"outputs": deep}, {"conditions": deep}))
            yield create("deep workflow", str(depth), owned(name, status={"phase": "Running", **status}))
            yield create("deep workflow", f"{depth} spec", owned(f"{name}-x", suspended(x=deep), uid="forged"))

    def do_bombs(self) -> Iterator[Attempt]:
        for kind in PACKED:
            name, run = self._with_run("bomb", "bombs")
            yield run
            status = {"phase": "Running", "compressedNodes": packed(kind), "nodes": {}}
            yield create("bombs", kind, owned(name, status=status))
            forged = owned(f"{name}-forged", uid="00000000-0000-0000-0000-000000000000", status=status)
            yield create("bombs", f"{kind} forged", forged)
            yield edit(
                "bombs",
                f"{kind} ends",
                "Workflow",
                name,
                {"status": {"phase": "Succeeded", "finishedAt": "2026-11-29T00:00:00Z"}},
            )

    def do_odd_status(self) -> Iterator[Attempt]:
        fields = ("phase", "message", "progress", "startedAt", "finishedAt", "nodes", "conditions", "outputs")
        fields += ("artifactRepositoryRef", "storedTemplates", "compressedNodes", "taskResultsCompletionStatus")
        parts = ("phase", "displayName", "type", "children", "outputs", "startedAt", "id", "message", "templateName")
        for field in fields:
            name, run = self._with_run("odd", "odd status")
            yield run
            yield create("odd status", field, owned(name, status={"phase": "Running"}))
            for variant, value in odd_values().items():
                yield edit("odd status", f"{field} {variant}", "Workflow", name, {"status": {field: value}})
        for part in parts:
            name, run = self._with_run("odd", "odd status")
            yield run
            values = odd_values()
            nodes = {
                f"n{n}": {"id": f"n{n}", "phase": "Failed", "type": "Pod"} | {part: value}
                for n, value in enumerate(values.values())
            }
            yield create("odd status", f"node {part}", owned(name, status={"phase": "Failed", "nodes": nodes}))
            yield edit("odd status", f"retry {part}", "PipelineRun", name, {"spec": {"retries": 1}})
        for field in ("spec", "status"):
            for variant in ("null", "true", "text", "list"):
                name, run = self._with_run("odd", "odd status")
                yield run
                yield create("odd status", f"{field} {variant}", owned(name) | {field: odd_values()[variant]})

    def do_wide_status(self) -> Iterator[Attempt]:
        for count, extra in ((5_000, ""), (300, "x" * 2_000)):
            name, run = self._with_run("nodes", "wide status")
            yield run
            nodes = {
                f"n{n}": {"id": f"n{n}", "phase": "Running", "type": "Pod", "displayName": f"{n}{extra}"}
                for n in range(count)
            }
            yield create("wide status", str(count), owned(name, status={"phase": "Running", "nodes": nodes}))
            for number in range(3):
                yield edit(
                    "wide status",
                    "again",
                    "Workflow",
                    name,
                    {"status": {"message": f"{number}", "nodes": {"n1": {"phase": "Failed"}}}},
                )
            yield edit(
                "wide status",
                "ends",
                "Workflow",
                name,
                {"status": {"phase": "Failed", "message": odd_text(self._chance, 90_000)}},
            )

    def do_artifacts(self) -> Iterator[Attempt]:
        places = (
            {"endpoint": "@@canary@@", "bucket": "b", "insecure": True},
            {"endpoint": "allowed.invalid@@@canary@@", "bucket": "b"},
            {"endpoint": "allowed.invalid", "region": "x@@@canary@@/#", "bucket": "b"},
            {"endpoint": "allowed.invalid", "bucket": "../../b"},
            {"endpoint": "[::1", "bucket": "b"},
            {"endpoint": "allowed.invalid:99999999", "bucket": "b"},
        )
        for number, place in enumerate(places):
            name, run = self._with_run("artifact", "artifacts")
            yield run
            artifact = {"name": "mlpipeline-metrics", "s3": {"key": "../../x\n", **place}}
            nodes = {"n": {"id": "n", "phase": "Succeeded", "type": "Pod", "outputs": {"artifacts": [artifact]}}}
            reference = {"namespace": "default", "configMap": "../x", "key": "a", "artifactRepository": {"s3": place}}
            status = {"phase": "Succeeded", "nodes": nodes, "artifactRepositoryRef": reference}
            yield create("artifacts", str(number), owned(name, status=status))

    # ------------------------------------------------------------------------------------------------ other kinds
    def do_templates(self) -> Iterator[Attempt]:
        for depth in DEPTHS:
            name = self._name("template")
            template = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": {"name": name}}
            yield create(
                "templates", str(depth), template | {"spec": instant(x=Raw(nested(depth, self._chance.choice(STYLES))))}
            )
            yield create("templates", f"{depth} run", of_spec({"workflow": {"templateRef": {"name": name}}}, name))

    def do_config_maps(self) -> Iterator[Attempt]:
        for variant, text in yaml_texts(self._chance).items():
            name = self._name("map")
            found = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": text}}
            yield create("config maps", variant, found)
            spec = {"workflow": {"manifestFrom": {"configMapKeyRef": {"name": name, "key": "a"}}}}
            yield create("config maps", f"{variant} run", of_spec(spec, name))

    def do_other_kinds(self) -> Iterator[Attempt]:
        for variant in ("planes", "odd", "deep"):
            text = plane_text(self._chance, 4096) if variant == "planes" else odd_text(self._chance, 4096)
            spec: Object = {"displayName": text[:255], "description": text}
            if variant == "deep":
                spec["x"] = Raw(nested(9_000, "list"))
            yield create(
                "other kinds",
                f"experiment {variant}",
                of_kind("PipelineExperiment", self._name("experiment"), spec=spec),
            )
        yield create(
            "other kinds",
            "policy",
            of_kind("RetentionPolicy", "default", spec={"archiveAfter": "0s", "keepSucceeded": 0}),
        )
        for kind in ("objects", "deep"):
            yield create(
                "other kinds",
                f"snapshot {kind}",
                of_kind("WorkflowSnapshot", self._name("snapshot"), data=packed(kind)),
            )
