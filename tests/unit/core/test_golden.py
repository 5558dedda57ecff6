"""PipelineRuns and the Workflows that are made of them, side by side in tests/unit/golden: the review surface.

`<case>.run.yaml` is the run as the API server gives it; further documents in it are the objects that are read for it.
`<case>.workflow.yaml` is what must come out. After an intended change: `UPDATE_GOLDEN=1 .venv/bin/pytest
tests/unit/core/test_golden.py`, then read the diff.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from runwright.api.pipelinerun import PipelineRun
from runwright.core.workflow.build import BuildOptions, Built, Needs, ObjectRef, build_workflow

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = sorted(path.name.removesuffix(".run.yaml") for path in GOLDEN.glob("*.run.yaml"))


def test_every_workflow_has_its_run() -> None:
    assert CASES
    assert {path.name.removesuffix(".workflow.yaml") for path in GOLDEN.glob("*.workflow.yaml")} == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    run, *found = yaml.safe_load_all((GOLDEN / f"{case}.run.yaml").read_text())
    objects: dict[ObjectRef, Any] = {}
    outcome = build_workflow(PipelineRun.model_validate(run), objects, BuildOptions())
    while isinstance(outcome, Needs):
        objects |= {ref: read(ref, found) for ref in outcome.objects}
        outcome = build_workflow(PipelineRun.model_validate(run), objects, BuildOptions())
    assert isinstance(outcome, Built), outcome
    text = yaml.dump(outcome.workflow, Dumper=Readable, sort_keys=False, width=110, allow_unicode=True)
    path = GOLDEN / f"{case}.workflow.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert path.read_text() == text


def read(ref: ObjectRef, found: list[dict[str, Any]]) -> dict[str, Any]:
    return next(
        one
        for one in found
        if (one["kind"], one["metadata"]["name"], one["metadata"].get("namespace", ""))
        == (ref.kind, ref.name, ref.namespace)
    )


class Readable(yaml.SafeDumper):
    """Texts of several lines as blocks."""


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Readable.add_representer(str, _block)
