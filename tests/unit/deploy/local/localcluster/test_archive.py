"""Image archives, as `docker save` writes them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from localcluster import archive, store
from localcluster.errors import ClusterError
from localcluster.layers import digest_of


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("compress", [False, True])
def test_an_archive_is_stored_with_the_same_layers(tmp_path: Path, compress: bool) -> None:
    layer = _tar({"hello": b"world"})
    config = json.dumps({"rootfs": {"diff_ids": [digest_of(layer)]}}).encode()
    manifest = [{"Config": "c.json", "RepoTags": ["runwright:dev"], "Layers": ["l.tar"]}]
    stored = gzip.compress(layer) if compress else layer
    file = tmp_path / "image.tar"
    file.write_bytes(_tar({"manifest.json": json.dumps(manifest).encode(), "c.json": config, "l.tar": stored}))
    loaded = archive.load(file)
    assert list(loaded) == ["runwright:dev"]
    read = store.read_json(loaded["runwright:dev"])
    assert read["config"]["digest"] == digest_of(config)
    assert [item["digest"] for item in read["layers"]] == [digest_of(layer)]
    assert store.blob_path(digest_of(layer)).read_bytes() == layer


def test_another_file_is_rejected_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"nothing")
    with pytest.raises(ClusterError, match="not an image archive") as error:
        archive.load(tmp_path / "x.tar")
    assert "docker save" in error.value.next_step
