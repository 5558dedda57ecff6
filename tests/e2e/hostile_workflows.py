"""Workflows that a tenant writes themselves, for runs of theirs. Pure and seeded."""

from __future__ import annotations

from collections.abc import Iterator

from tests.e2e.hostile_attempts import Attempt, Tricks, create, edit, owned
from tests.e2e.hostile_values import (
    DEPTHS,
    PACKED,
    STYLES,
    Raw,
    nested,
    odd_text,
    odd_values,
    packed,
)
from tests.e2e.manifests import of_spec, suspended


class WorkflowTricks(Tricks):
    """Statuses that the operator mirrors, unpacks, archives and retries."""

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
