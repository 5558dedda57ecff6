"""Kubeconfigs for somebody else than the one that runs the tests."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.cluster import Kubectl


def account_kubeconfig(kubectl: Kubectl, namespace: str, account: str, path: Path) -> Path:
    """Writes a kubeconfig by which one acts as a service account, for an hour, with its rights and no others."""
    config = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    token = kubectl("create", "token", account, "-n", namespace, "--duration=1h").strip()
    cluster = config["clusters"][0]
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [{"name": account, "user": {"token": token}}],
        "contexts": [{"name": account, "context": {"cluster": cluster["name"], "user": account}}],
        "current-context": account,
    }
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path
