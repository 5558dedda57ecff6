from __future__ import annotations

import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

from runwright.kube import login as module
from runwright.kube.kubeconfig import ConfigError
from runwright.kube.login import Login, log_in
from tests.unit.kube.test_kubeconfig import config, write


@pytest.fixture(autouse=True)
def outside_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(module, "SERVICE_ACCOUNT", tmp_path / "account" / "token")


async def test_a_fixed_token_is_used_without_the_library(tmp_path: Path) -> None:
    path = write(tmp_path / "config", config({"token": "secret"}, namespace="team"))
    login = await log_in(path)
    assert (login.server, login.namespace, await login.token()) == ("https://10.0.0.1:6443", "team", "secret")
    assert "secret" not in repr(login)


async def test_without_credentials_there_is_no_token(tmp_path: Path) -> None:
    login = await log_in(write(tmp_path / "config", config()))
    assert await login.token() == ""


async def test_a_plugin_is_asked_again_before_its_token_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "import json, pathlib\n"
        f"count = pathlib.Path({str(count)!r})\n"
        "number = int(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text(str(number))\n"
        "status = {'token': f'token-{number}'}\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1beta1', 'kind': 'ExecCredential', 'status': status}))\n"
    )
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": sys.executable,
            "args": [str(plugin)],
        }
    }
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    login = await log_in(write(tmp_path / "config", config(user, namespace="team")))
    assert (login.server, login.namespace) == ("https://10.0.0.1:6443", "team")
    assert [await login.token(), await login.token()] == ["token-1", "token-1"]
    clock[0] += module.RENEWAL_SECONDS
    assert [await login.token(), await login.token()] == ["token-2", "token-2"]


async def test_a_plugin_that_fails_is_an_error_or_no_token(tmp_path: Path) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "/no/such/plugin", "args": []}}
    path = write(tmp_path / "config", config(user))
    try:
        login = await log_in(path)
    except (ConfigError, OSError):
        return
    assert await login.token() == ""


async def test_a_pod_uses_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.aio.config import incluster_config

    folder = tmp_path / "account"
    folder.mkdir()
    (folder / "token").write_text("pod-token")
    (folder / "namespace").write_text("runwright-system\n")
    (folder / "ca.crt").write_text(authority())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    library: Any = incluster_config
    monkeypatch.setattr(library, "SERVICE_TOKEN_FILENAME", str(folder / "token"))
    monkeypatch.setattr(library, "SERVICE_CERT_FILENAME", str(folder / "ca.crt"))
    login = await log_in()
    assert (login.server, login.namespace) == ("https://10.0.0.1:443", "runwright-system")
    assert (await login.token(), login.ca_file) == ("pod-token", str(folder / "ca.crt"))


async def test_a_named_kubeconfig_wins_over_the_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "account").mkdir()
    (tmp_path / "account" / "token").write_text("pod-token")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    login = await log_in(write(tmp_path / "config", config({"token": "mine"})))
    assert await login.token() == "mine"


async def test_no_way_to_a_cluster_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match="no kubeconfig"):
        await log_in()


def authority() -> str:
    """A certificate of the system's, to stand for a cluster's authority."""
    found = ssl.create_default_context().get_ca_certs(binary_form=True)
    return ssl.DER_cert_to_PEM_cert(found[0])


def test_the_authority_of_the_cluster_is_the_only_one(tmp_path: Path) -> None:
    context = Login("https://x", ca_data=authority()).ssl_context()
    assert len(context.get_ca_certs()) == 1 and context.verify_mode is ssl.CERT_REQUIRED
    path = write(tmp_path / "ca.crt", authority())
    assert len(Login("https://x", ca_file=path).ssl_context().get_ca_certs()) == 1


def test_an_insecure_login_takes_any_certificate() -> None:
    context = Login("https://x", insecure=True).ssl_context()
    assert context.verify_mode is ssl.CERT_NONE and not context.check_hostname


def test_keys_are_written_to_disk_only_while_they_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ssl.SSLError):
        Login("https://x", certificate_data="no pem", key_data="no pem").ssl_context()
    assert list(tmp_path.iterdir()) == []


def test_secrets_are_not_in_the_representation() -> None:
    assert "private" not in repr(Login("https://x", key_data="private"))
