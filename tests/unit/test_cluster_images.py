"""Images: their bytes, the names they are found under, and the registry that serves them, over a real socket."""

import gzip
import hashlib
import http.client
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from localcluster import archive, catalogue, store
from localcluster.delivery import with_image
from localcluster.errors import ClusterError
from localcluster.layers import Blob, Entry, Process, config_json, digest_of, executable, write_layer
from localcluster.mirror import Mirror


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_layer_is_the_same_bytes_whatever_the_order_and_the_clock(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"#!/bin/sh\n")
    entries = [executable("bin/tool", program), Entry("etc/passwd", b"root", 0o644), Entry("tmp", None, 0o1777)]
    write_layer(entries, tmp_path / "a.tar")
    program.touch()
    write_layer(list(reversed(entries)), tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_layer_holds_modes_links_and_missing_parents(tmp_path: Path) -> None:
    write_layer([Entry("usr/local/bin/x", link="/bin/busybox"), Entry("tmp", None, 0o1777)], tmp_path / "l.tar")
    with tarfile.open(tmp_path / "l.tar") as tar:
        members = {member.name: member for member in tar.getmembers()}
    assert members["usr/local"].isdir()
    assert members["usr/local/bin/x"].linkname == "/bin/busybox"
    assert members["tmp"].mode == 0o1777
    assert {(m.uid, m.gid, m.mtime) for m in members.values()} == {(0, 0, 0)}
    assert list(members) == sorted(members)


def test_a_config_names_the_layers_and_how_to_start() -> None:
    layer = Blob(digest_of(b"x"), 1)
    config = json.loads(config_json(Process(entrypoint=("/argosay",), user="1"), [layer], "amd64"))
    assert config["rootfs"]["diff_ids"] == [layer.digest]
    assert config["config"]["Entrypoint"] == ["/argosay"]
    assert config["config"]["Cmd"] is None


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("busybox", ("library/busybox", "latest")),
        ("alpine:3.6", ("library/alpine", "3.6")),
        ("argoproj/argosay:v2", ("argoproj/argosay", "v2")),
        ("registry.example/argoproj/argosay:v2", ("argoproj/argosay", "v2")),
        ("registry.example:5000/library/busybox", ("library/busybox", "latest")),
        ("localhost/runwright:dev", ("library/runwright", "dev")),
        ("runwright:dev-1", ("library/runwright", "dev-1")),
        ("busybox@sha256:" + "0" * 64, ("library/busybox", "sha256:" + "0" * 64)),
    ],
)
def test_the_parts_of_a_reference(reference: str, expected: tuple[str, str]) -> None:
    assert catalogue.split_reference(reference) == expected


NAMES = {pattern: label for label, (_, patterns) in catalogue.STEP_IMAGES.items() for pattern in patterns}


@pytest.mark.parametrize(
    ("reference", "label"),
    [
        ("busybox", "shell"),
        ("alpine:3.7", "shell"),
        ("python:alpine3.6", "python"),
        ("python:3.11-slim", "python"),
        ("debian:9.4", "bash"),
        ("argoproj/argosay:v1", "cowsay"),
        ("argoproj/argosay:v2", "argosay"),
        ("docker/whalesay:latest", "bash"),
        ("golang:1.18", None),
        ("someone/busybox", None),
    ],
)
def test_the_image_behind_a_public_name(reference: str, label: str | None) -> None:
    assert catalogue.resolve(NAMES, *catalogue.split_reference(reference)) == label


def test_argo_knows_the_command_of_every_name_as_examples_write_it() -> None:
    commands = catalogue.argo_image_commands()
    assert commands["argoproj/argosay:v2"] == {"entrypoint": ["/argosay"]}
    assert commands["busybox"] == {"cmd": ["sh"]}
    assert commands["python:3.11-slim"] == {"cmd": ["python3"]}


def test_loading_a_tag_again_replaces_it_and_old_tags_go() -> None:
    names = {"library/busybox:*": "b"}
    for number in range(7):
        names = with_image(names, f"runwright:dev-{number}", f"sha256:{number}", kept=3)
    assert names == {
        "library/busybox:*": "b",
        **{f"library/runwright:dev-{number}": f"sha256:{number}" for number in (4, 5, 6)},
    }
    again = with_image(names, "runwright:dev-4", "sha256:new", kept=3)
    assert again["library/runwright:dev-4"] == "sha256:new"
    assert len(again) == len(names)


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("compress", [False, True])
def test_an_archive_becomes_an_image_of_the_same_layers(tmp_path: Path, compress: bool) -> None:
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


def test_a_file_that_is_no_archive_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"nothing")
    with pytest.raises(ClusterError, match="not an image archive") as error:
        archive.load(tmp_path / "x.tar")
    assert "docker save" in error.value.next_step


def test_pruning_keeps_what_a_record_names(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(store, "STATE_ROOT", tmp_path / "clusters")
    kept = store.put_image([store.put_bytes(b"layer")], Process())
    store.put_image([store.put_bytes(b"other")], Process(user="1"))
    (cache / "images" / "steps-0123456789abcdef.json").write_text(json.dumps({"x": kept.digest}))
    assert store.prune() == 3
    assert store.has_image(kept.digest)


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
def test_the_mirror_has_nothing_else(mirror: http.client.HTTPConnection, path: str) -> None:
    assert _get(mirror, path)[0] == 404
