"""`runwright operator`: its options and the values they set."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner, Result

from runwright import cli
from runwright.api.retentionpolicy import RetentionPolicySpec
from runwright.controller import command
from runwright.controller.process import OperatorOptions
from runwright.kube.kubeconfig import ConfigError
from runwright.kube.objects import Key


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[OperatorOptions]:
    """Record the options of each start instead of starting an operator; logging is unchanged."""
    found: list[OperatorOptions] = []

    async def run_operator(options: OperatorOptions) -> None:
        found.append(options)

    monkeypatch.setattr(command, "run_operator", run_operator)
    monkeypatch.setattr(command, "configure_logging", lambda log_format, level: None)
    return found


def invoke(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli.main, ["operator", *arguments], prog_name="runwright", env=environment)


def test_no_options_give_the_defaults(started: list[OperatorOptions]):
    assert invoke().exit_code == 0
    assert started == [OperatorOptions()]


def test_options_reach_the_operator(started: list[OperatorOptions]):
    arguments = ("-n", "a", "-n", "b", "--archive-after", "7d", "--keep-failed", "3", "--lease", "ns/name")
    assert invoke(*arguments, "--shard", "one", "--selector", "team=a").exit_code == 0
    (options,) = started
    assert options.term.namespaces == ("a", "b")
    assert options.term.default_retention == RetentionPolicySpec(archive_after="7d", keep_failed=3)
    assert options.lease == Key("ns", "name")
    assert options.term.shard.name == "one"


def test_environment_variable_sets_an_option(started: list[OperatorOptions]):
    assert invoke(RUNWRIGHT_OPERATOR_WORKERS="3").exit_code == 0
    assert started[0].term.workers == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--archive-after", "soon"), "duration: expected numbers with units"),
        (("--lease", "name"), "'name': expected NAMESPACE/NAME"),
        (("--lease", "a/b/c"), "'a/b/c': expected NAMESPACE/NAME"),
        (("--workers", "0"), "0 is not in the range"),
        (("--selector", "team=a"), "Error: "),
    ],
)
def test_invalid_option_is_a_usage_error(arguments: tuple[str, ...], message: str, started: list[OperatorOptions]):
    done = invoke(*arguments)
    assert (done.exit_code, started) == (2, [])
    assert message in done.output


def test_failed_start_prints_one_line(monkeypatch: pytest.MonkeyPatch, started: Any):
    async def run_operator(options: OperatorOptions) -> None:
        raise ConfigError("no kubeconfig\nat all")

    monkeypatch.setattr(command, "run_operator", run_operator)
    done = invoke()
    assert done.exit_code == 1
    assert str(done.exception) == "runwright: ConfigError: no kubeconfig at all"
