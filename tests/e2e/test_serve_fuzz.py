"""schemathesis against the REST API, by the OpenAPI document that it serves: thousands of requests, good and bad."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.cluster import Kubectl
from tests.e2e.environments import python_with
from tests.e2e.manifests import suspended
from tests.e2e.processes import Serve
from tests.e2e.serving import Caller, asking, token_of

EXAMPLES = "15"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
    "use_after_free",
)
"""Not that bad data is always refused and good data always taken: unknown fields are passed over as the contract has it,
and ids are not known to the document."""


@pytest.mark.timeout(400)
def test_fuzzed_requests_get_replies_as_described(
    serve_account: Path, kubectl: Kubectl, namespace: str, tmp_path: Path
):
    token = token_of(kubectl, namespace, "editor", "edit")
    with Serve(serve_account, "--namespace", namespace) as serve:
        serve.start()
        program = python_with("schemathesis").parent / "schemathesis"
        command = [str(program), "run", f"{serve.url}/openapi.json", "-H", f"Authorization: Bearer {token}"]
        command += ["--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--seed", "1"]
        command += ["--max-examples", EXAMPLES, "--workers", "2", "--warnings", "off", "--no-color"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=380, cwd=tmp_path)
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        caller = Caller(serve.url, token)
        experiment = caller.good("POST", "/experiments", {"name": "afterwards"})["id"]
        assert caller.good("POST", "/runs", asking("afterwards", suspended(), experiment))["run"]["status"] == "Pending"
        assert serve.errors() == []
