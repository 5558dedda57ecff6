"""The `runwright` command at a shell: it helps, and where it cannot work it says why, on one line, and fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.processes import REPOSITORY
from tests.ports import free_port


def runwright(*arguments: str, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs it to its end, without a cluster in its environment."""
    clean = {key: value for key, value in os.environ.items() if key != "KUBECONFIG" and not key.startswith("RUNWRIGHT")}
    clean |= {"PYTHONPATH": str(REPOSITORY / "operator"), **environment}
    command = [sys.executable, "-m", "runwright", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=clean)


def test_help_lists_all_commands():
    done = runwright("--help")
    assert done.returncode == 0
    assert "operator" in done.stdout
    assert "PipelineRuns" in done.stdout


def test_help_of_the_operator_explains_every_option():
    """Every option with its meaning."""
    done = runwright("operator", "--help")
    assert done.returncode == 0
    for option in ("--namespace", "--kubeconfig", "--context", "--default-service-account", "--workers", "--resync"):
        assert option in done.stdout
    for option in ("--archive-after", "--delete-after", "--keep-workflow", "--keep-succeeded", "--keep-failed"):
        assert option in done.stdout
    for option in ("--probe-address", "--log-format", "--log-level"):
        assert option in done.stdout


def test_version_is_printed():
    assert runwright("--version").stdout.startswith("runwright, version ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("operator", "--nope"), "No such option '--nope'"),
        (("nope",), "No such command 'nope'"),
        (("operator", "--workers", "0"), "0 is not in the range 1<=x<=256"),
        (("operator", "--resync", "0"), "0.0 is not in the range x>=1"),
        (("operator", "--log-format", "xml"), "'xml' is not one of 'text', 'json'"),
        (
            ("operator", "--archive-after", "a week"),
            "'--archive-after': 'a week' is not a duration: expected numbers with units",
        ),
        (("operator", "--delete-after=-1h"), "'--delete-after': '-1h' is not a duration"),
        (("operator", "--keep-workflow", "7"), "such as 90s, 15m, 36h, 7d or 1h30m"),
        (("operator", "--keep-succeeded=-1"), "-1 is not in the range 0<=x<=100000"),
        (("operator", "--keep-failed", "100001"), "100001 is not in the range 0<=x<=100000"),
        (("operator", "--kubeconfig", "/nonexistent"), "File '/nonexistent' does not exist"),
    ],
)
def test_a_bad_option_is_refused_in_one_line(arguments: tuple[str, ...], message: str):
    done = runwright(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "--help" in done.stderr


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The last line that it wrote; fails when it came to no error, or to a traceback."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.rstrip().splitlines()[-1]
    assert last.startswith("runwright: ")
    return last


def test_an_unreachable_api_server_ends_the_start(tmp_path: Path):
    """It waits a little, says so, and gives up: more likely than an outage is a wrong kubeconfig."""
    server = f"https://127.0.0.1:{free_port()}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "users": [{"name": "a", "user": {"token": "a"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    done = runwright("operator", "--kubeconfig", str(tmp_path / "kubeconfig"))
    assert f"no reply from the API server: ClientConnectorError: Cannot connect to host {server[8:]}" in refused(done)
    assert f"waiting for the API server {server}" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_an_unknown_account_ends_the_start(kubeconfig: Path, tmp_path: Path):
    view = [
        "kubectl",
        "--kubeconfig",
        str(kubeconfig),
        "config",
        "view",
        "--raw",
        "--minify",
        "--flatten",
        "-o",
        "json",
    ]
    config = json.loads(subprocess.run(view, capture_output=True, text=True, check=True).stdout)
    config["users"][0]["user"] = {"token": "unknown"}
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    assert "401 Unauthorized" in refused(runwright("operator", "--kubeconfig", str(tmp_path / "kubeconfig")))


def test_a_missing_context_ends_the_start(kubeconfig: Path):
    assert "absent" in refused(runwright("operator", "--kubeconfig", str(kubeconfig), "--context", "absent"))


def test_an_invalid_kubeconfig_ends_the_start(tmp_path: Path):
    (tmp_path / "kubeconfig").write_text("clusters: [")
    refused(runwright("operator", KUBECONFIG=str(tmp_path / "kubeconfig")))


def test_a_missing_kubeconfig_ends_the_start(tmp_path: Path):
    refused(runwright("operator", HOME=str(tmp_path)))


@pytest.mark.parametrize("address", ["8080", "localhost:http"])
def test_an_invalid_probe_address_ends_the_start(kubeconfig: Path, address: str):
    done = runwright("operator", "--kubeconfig", str(kubeconfig), "--namespace", "default", "--probe-address", address)
    assert f"probe address '{address}': expected HOST:PORT" in refused(done)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WORKERS", "0", "0 is not in the range"),
        ("ARCHIVE_AFTER", "soon", "'soon' is not a duration"),
        ("KEEP_FAILED", "many", "'many' is not a valid integer range"),
    ],
)
def test_an_option_is_read_from_the_environment(name: str, value: str, message: str):
    done = runwright("operator", timeout=60, **{f"RUNWRIGHT_OPERATOR_{name}": value})
    assert done.returncode == 2
    assert message in done.stderr
