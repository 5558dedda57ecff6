"""Which cluster the local cluster tool takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from localcluster.choice import Facts, Provider, choose
from localcluster.errors import ClusterError

OWN = Path("/checkout/.cluster/kubeconfig")


PLAIN = Facts(
    kubeconfig_flag=None,
    kubeconfig_env=None,
    own_kubeconfigs=frozenset({OWN}),
    docker_answers=False,
    docker_why_not="docker is not installed",
    root=True,
    linux=True,
)


def test_the_default_is_real_components() -> None:
    chosen = choose(PLAIN)
    assert chosen.provider is Provider.COMPONENTS
    assert "docker is not installed" in chosen.reason


def test_kind_is_used_if_docker_answers_even_without_root() -> None:
    assert choose(replace(PLAIN, docker_answers=True, root=False)).provider is Provider.KIND


def test_the_flag_precedes_the_variable_and_both_precede_docker() -> None:
    facts = replace(PLAIN, kubeconfig_flag="/a", kubeconfig_env="/b", docker_answers=True)
    assert choose(facts).kubeconfig == "/a"
    assert choose(replace(facts, kubeconfig_flag=None)).kubeconfig == "/b"
    assert choose(replace(facts, kubeconfig_flag=None)).provider is Provider.NAMED


def test_our_own_kubeconfig_is_ignored() -> None:
    assert choose(replace(PLAIN, kubeconfig_env=str(OWN))).provider is Provider.COMPONENTS
    assert choose(replace(PLAIN, kubeconfig_flag=str(OWN))).provider is Provider.COMPONENTS


def test_a_list_with_a_foreign_kubeconfig_is_a_named_cluster() -> None:
    assert choose(replace(PLAIN, kubeconfig_env=f"{OWN}:/home/me/.kube/config")).provider is Provider.NAMED


def test_a_running_cluster_keeps_its_provider_when_docker_starts() -> None:
    facts = replace(PLAIN, docker_answers=True, recorded=Provider.COMPONENTS)
    assert choose(facts).provider is Provider.COMPONENTS


@pytest.mark.parametrize(("change", "next_step"), [({"root": False}, "sudo"), ({"linux": False}, "Docker")])
def test_the_error_says_what_to_do(change: dict[str, bool], next_step: str) -> None:
    with pytest.raises(ClusterError) as error:
        choose(replace(PLAIN, **change))
    assert next_step in error.value.next_step
    assert "docker is not installed" in error.value.problem
