"""The pages quote messages as the code writes them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]

QUOTED = {
    "archive": ("WorkflowKept", "NoWorkflow", "WorkflowTooLarge", "Unarchived"),
    "artifacts": (
        *("NodeNotFound", "ArtifactNotFound", "ArtifactCollected", "ObjectNotFound"),
        *("Refused", "Unreachable", "Unsupported"),
    ),
    "delete": ("exists and is not controlled by this PipelineRun: delete that Workflow, or give the run another name",),
    "kubectl": (
        "the Workflow declares no parameter ",
        "there is nothing left to terminate",
        "No runs found",
        "Did you mean ",
    ),
    "retention": (
        "write a duration as numbers with units (ms, s, m, h, d), such as 90s, 15m, 36h, 7d or 1h30m",
        ": a namespace has at most one RetentionPolicy, and it has that name",
    ),
    "retry": (
        "cannot be raised so far: set it to status.retries + 1, for one retry at a time",
        "cannot be raised now: only a run whose status.phase is Failed or Error can be retried",
        "only grows",
        "remove spec.shutdown in the same edit: otherwise it would end the retry at once",
        "is not allowed: ",
    ),
    "run-metrics": (": expected a finite number, found ",),
    "serve": (
        "expected the header ",
        "the bearer token is not valid, or has expired",
        "ListRuns must filter by resource reference in multi-user mode",
        "Workflow must be Failed/Error to retry",
        "is not complete yet",
        "cannot be checked now",
        "there is no ",
    ),
    "troubleshooting": (
        *("the Workflow declares no parameter ", " to be installed in the cluster", "stands by: ", " was not renewed"),
        *(
            "not sent: the Lease of this operator was not renewed in time",
            "loop ",
            " failed: ",
            "; restarting it in ",
        ),
        "set one of manifest, spec, templateRef and manifestFrom",
        "set only one of manifest, spec, templateRef and manifestFrom",
        "cannot change once the run's Workflow was created",
    ),
    "terminate": (
        "cannot be set on a run that has ended: there is nothing left to shut down",
        "Stopped with strategy",
    ),
}
"""By page: parts of messages, each without what the message fills in."""

ARGO = ("Stopped with strategy",)
"""What Argo writes, not we."""


def texts(path: Path) -> Iterator[str]:
    """The strings of a module; adjacent ones are one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.fixture(scope="module")
def written() -> str:
    """All strings of the package."""
    package = REPOSITORY / "operator" / "runwright"
    return "\n".join(
        text for path in package.rglob("*.py") if not path.name.endswith("_pb2.py") for text in texts(path)
    )


@pytest.mark.parametrize(("page", "message"), [(page, message) for page, found in QUOTED.items() for message in found])
def test_a_quoted_message_is_written_by_the_code(page: str, message: str, written: str):
    assert message.strip() in (REPOSITORY / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert message in written or message in ARGO
