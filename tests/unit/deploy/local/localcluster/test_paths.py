"""A cluster's name, and the paths made from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from localcluster.errors import ClusterError
from localcluster.paths import ClusterPaths, checked_name


@pytest.mark.parametrize("name", ["default", "t2", "a", "a-b", "a2345678901234567890"[:20]])
def test_valid_names(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "2a", "-a", "a-", "a" * 21, "a/b", "a.b", "..", "a b", "bin"])
def test_invalid_names(name: str) -> None:
    with pytest.raises(ClusterError):
        checked_name(name)


def test_the_default_clusters_home_is_dot_cluster() -> None:
    paths = ClusterPaths("default", Path("/checkout"))
    assert paths.kubeconfig == Path("/checkout/.cluster/kubeconfig")
    assert replace(paths, name="t2").kubeconfig == Path("/checkout/.cluster/t2/kubeconfig")
