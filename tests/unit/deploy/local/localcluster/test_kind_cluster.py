"""Images for kind."""

from __future__ import annotations

from localcluster import kind_cluster
from localcluster.layers import Process


def test_a_dockerfile_sets_files_user_and_entrypoint() -> None:
    text = kind_cluster.dockerfile(Process(entrypoint=("/argosay",), user="7"), "base", {"argosay": "/argosay"})
    assert text.splitlines() == [
        "FROM base",
        "COPY --chmod=755 argosay /argosay",
        "USER 7",
        'ENTRYPOINT ["/argosay"]',
    ]
