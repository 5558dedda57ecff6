"""How the operator comes to its credentials, and that they are renewed."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.config import ConfigException

from runwright.adapters import login
from runwright.adapters.login import bearer_token, configure
from runwright.controller.process import connection_info


def kubeconfig(folder: Path, user: dict[str, Any]) -> str:
    path = folder / "kubeconfig"
    named = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "x", **named}))
    return str(path)


def plugin(folder: Path) -> dict[str, Any]:
    """An exec plugin as clouds have them; each call gives another token."""
    script = folder / "get-token"
    script.write_text(
        f"#!/bin/sh\necho x >> {folder}/calls\nn=$(wc -l < {folder}/calls)\n"
        'printf \'{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
        '"status":{"token":"token-%d"}}\' $n\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script), "args": []}}


async def test_a_token_is_used_by_the_client_and_by_kopf(tmp_path: Path) -> None:
    configuration = await configure(kubeconfig(tmp_path, {"token": "abc"}), None)
    assert await bearer_token(configuration) == "abc"
    info = await connection_info(configuration)
    assert (info.server, info.token, info.insecure) == ("https://127.0.0.1:6443", "abc", True)
    assert info.as_http_headers() == {"Authorization": "Bearer abc"}


async def test_what_a_plugin_gave_is_renewed_when_it_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = await configure(kubeconfig(tmp_path, plugin(tmp_path)), None)
    assert await bearer_token(configuration) == "token-1"
    assert await bearer_token(configuration) == "token-1"
    monkeypatch.setattr(login, "RENEWAL_SECONDS", 0.0)
    assert await bearer_token(configuration) == "token-2"
    assert (await connection_info(configuration)).token == "token-3"


async def test_no_way_to_a_cluster_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigException):
        await configure(str(tmp_path / "absent"), None)
    with pytest.raises(ConfigException, match="other"):
        await configure(kubeconfig(tmp_path, {"token": "abc"}), "other")
