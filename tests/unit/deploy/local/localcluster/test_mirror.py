"""The registry that serves the images, over a real socket."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from localcluster import store
from localcluster.layers import Process
from localcluster.mirror import Mirror


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[http.client.HTTPConnection]:
    image = store.put_image([store.put_bytes(b"layer")], Process())
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"library/busybox:*": image.digest}))
    server = Mirror(("127.0.0.1", 0), store.blobs_folder(), names)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
    yield connection
    connection.close()
    server.shutdown()
    server.server_close()


def _get(
    connection: http.client.HTTPConnection, path: str, method: str = "GET"
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, response.headers, response.read()


def test_the_mirror_serves_an_image_down_to_its_layers(mirror: http.client.HTTPConnection) -> None:
    assert _get(mirror, "/v2/")[0] == 200
    status, headers, body = _get(mirror, "/v2/library/busybox/manifests/1.36?ns=any.example", "HEAD")
    assert (status, body) == (200, b"")
    digest = headers["Docker-Content-Digest"]
    status, headers, body = _get(mirror, f"/v2/library/busybox/manifests/{digest}?ns=any.example")
    assert status == 200
    assert int(headers["Content-Length"]) == len(body)
    assert digest == "sha256:" + hashlib.sha256(body).hexdigest()
    layer = json.loads(body)["layers"][0]["digest"]
    assert _get(mirror, f"/v2/library/busybox/blobs/{layer}")[2] == b"layer"


@pytest.mark.parametrize(
    "path",
    [
        "/v2/library/golang/manifests/1.18",
        "/v2/library/busybox/blobs/sha256:" + "0" * 64,
        "/v2/library/busybox/blobs/..%2f..%2fetc",
        "/v2/library/busybox/blobs/sha256:..",
        "/etc/passwd",
    ],
)
def test_the_mirror_has_no_other_paths(mirror: http.client.HTTPConnection, path: str) -> None:
    assert _get(mirror, path)[0] == 404
