"""Images for kind."""

from __future__ import annotations

from localcluster import kind_cluster
from localcluster.layers import Process


def test_a_dockerfile_for_kind_starts_as_the_image_of_the_mirror_does() -> None:
    text = kind_cluster.dockerfile(Process(entrypoint=("/argosay",), user="7"), "base", {"argosay": "/argosay"})
    assert text.splitlines() == [
        "FROM base",
        "COPY --chmod=755 argosay /argosay",
        "USER 7",
        'ENTRYPOINT ["/argosay"]',
    ]
