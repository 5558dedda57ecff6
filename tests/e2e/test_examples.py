"""Every example under deploy/examples, applied as it stands, succeeds."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.e2e.cluster import Kubectl, Object
from tests.e2e.conftest import REPOSITORY, WaitRun

EXAMPLES = sorted(
    path
    for path in (REPOSITORY / "deploy" / "examples").glob("*.yaml")
    if path.stem not in ("namespace", "kustomization")
)


def test_examples_exist():
    assert "hello" in [path.stem for path in EXAMPLES]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_succeeds(kubectl: Kubectl, namespace: str, wait_run: WaitRun, example: Path):
    kubectl("apply", "-n", namespace, "-f", str(example))
    documents: list[Object] = list(yaml.safe_load_all(example.read_text()))
    runs = [one["metadata"]["name"] for one in documents if one["kind"] == "PipelineRun"]
    assert runs
    for name in runs:
        wait_run(name, "Succeeded")
