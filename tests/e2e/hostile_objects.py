"""Objects that a tenant with `edit` in one namespace sends to the API server to harm the others. Pure and seeded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.e2e.cluster import Object
from tests.e2e.hostile_attempts import RUN_LABEL, Attempt, create, delete, edit
from tests.e2e.hostile_values import (
    DEPTHS,
    OBJECT_BYTES,
    STYLES,
    Raw,
    document,
    near_names,
    nested,
    odd_text,
    packed,
    plane_text,
    yaml_texts,
)
from tests.e2e.hostile_workflows import WorkflowTricks
from tests.e2e.manifests import instant, of_kind, of_spec, suspended


class Objects(WorkflowTricks):
    """Generates attempts; each trick is a method that yields some."""

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
