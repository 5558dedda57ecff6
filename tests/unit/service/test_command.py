"""`runwright serve`: its options, and what the service gets of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runwright import cli
from runwright.service import command
from runwright.service.server import ServeOptions


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[ServeOptions]:
    """The options of each service that was started; nothing runs, and logging stays as it is."""
    found: list[ServeOptions] = []

    async def run_serve(options: ServeOptions) -> None:
        found.append(options)

    monkeypatch.setattr(command, "run_serve", run_serve)
    monkeypatch.setattr(command, "configure_logging", lambda log_format, level: None)
    return found


def invoke(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli.main, ["serve", *arguments], prog_name="runwright", env=environment)


def test_without_options_the_defaults_hold(started: list[ServeOptions]):
    assert invoke().exit_code == 0
    assert started == [ServeOptions()]


def test_options_reach_the_service(started: list[ServeOptions], tmp_path: Path):
    key = tmp_path / "key.pem"
    key.touch()
    assert (
        invoke("-n", "team", "--tls-key", str(key), "--max-artifact-bytes", "4096", "--request-timeout", "3").exit_code
        == 0
    )
    (options,) = started
    assert (options.namespaces, options.tls_key) == (("team",), key)
    assert (options.runs.max_artifact, options.limits.seconds) == (4096, 3)


def test_each_limit_is_an_option(started: list[ServeOptions]):
    values = ("--max-request-bytes", "2048", "--max-calls", "7", "--max-calls-per-user", "3", "--max-connections", "9")
    assert invoke(*values).exit_code == 0
    limits = started[0].limits
    assert (limits.request_bytes, limits.at_a_time, limits.of_one_caller, limits.connections) == (2048, 7, 3, 9)


def test_an_environment_variable_sets_an_option(started: list[ServeOptions]):
    assert invoke(RUNWRIGHT_SERVE_ANONYMOUS_USER="guest").exit_code == 0
    assert started[0].anonymous_user == "guest"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tls-cert", "/nonexistent"), "'/nonexistent' does not exist"),
        (("--max-request-bytes", "3"), "3 is not in the range"),
        (("--log-level", "loud"), "'loud' is not one of"),
    ],
)
def test_a_wrong_option_is_a_usage_error(arguments: tuple[str, ...], message: str, started: list[ServeOptions]):
    done = invoke(*arguments)
    assert (done.exit_code, started) == (2, [])
    assert message in done.output
