"""Calls of the run service, as plain HTTP, and tokens to make them with."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.e2e.cluster import Kubectl

API = "/apis/v1beta1"


def token_of(kubectl: Kubectl, namespace: str, name: str, role: str | None) -> str:
    """A token of a new service account of the namespace, which may there what the ClusterRole says."""
    kubectl("create", "serviceaccount", "-n", namespace, name)
    if role:
        account = f"--serviceaccount={namespace}:{name}"
        kubectl("create", "rolebinding", "-n", namespace, name, f"--clusterrole={role}", account)
    return kubectl("create", "token", "-n", namespace, name, "--duration=1h").strip()


class Caller:
    """Somebody who calls one run service."""

    def __init__(self, url: str, token: str = "", tls: ssl.SSLContext | None = None) -> None:
        self._url, self._token, self._tls = url, token, tls

    def __call__(
        self, verb: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **query: Any
    ) -> tuple[int, Any]:
        """Status and JSON of the reply."""
        asked = f"?{urllib.parse.urlencode(query)}" if query else ""
        request = urllib.request.Request(
            self._url + (API + path if path.startswith("/") else f"/{path}") + asked,
            method=verb,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}"} if self._token else {},
        )
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=60, context=self._tls) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def good(self, verb: str, path: str, body: Any = None, **options: Any) -> Any:
        """The reply of a call that must succeed."""
        status, reply = self(verb, path, body, **options)
        assert status == 200, (verb, path, status, reply)
        return reply

    def experiment(self, name: str, namespace: str) -> str:
        """The id of a new experiment."""
        owner = {"key": {"type": "NAMESPACE", "id": namespace}, "relationship": "OWNER"}
        return self.good("POST", "/experiments", {"name": name, "resource_references": [owner]})["id"]


def asking(name: str, spec: Any, experiment: str, **more: Any) -> dict[str, Any]:
    """What CreateRun takes, of a WorkflowSpec."""
    manifest = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {}, "spec": spec}
    reference = {"key": {"type": "EXPERIMENT", "id": experiment}, "relationship": "OWNER"}
    return {
        "name": name,
        "pipeline_spec": {"workflow_manifest": json.dumps(manifest), **more.pop("pipeline_spec", {})},
        "resource_references": [reference, *more.pop("references", [])],
        **more,
    }


def certificate(folder: Path) -> None:
    """`tls.crt` and `tls.key` for loopback, signed by itself."""
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days=2",
    ]
    command += ["-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt"), "-subj", "/CN=loopback"]
    subprocess.run([*command, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
