"""A read-only OCI registry on loopback, so that pods can pull images without a registry on the network.

It runs as `python3 -m localcluster.mirror` in the cluster's network namespace. containerd uses it for every registry (hosts file in
its `config_path`), so `imagePullPolicy: Always`, the default for an image without a tag, works unchanged. It implements the pull
part of the OCI distribution spec v1.0: GET and HEAD of /v2/, manifests and blobs.
"""

import argparse
import json
import re
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .catalogue import resolve
from .layers import MANIFEST_TYPE

PORT = 5000
_ROUTE = re.compile(r"^/v2/(?P<repository>.+)/(?P<kind>manifests|blobs)/(?P<reference>[^/?]+)")


class Mirror(ThreadingHTTPServer):
    """Serves the blobs of a folder under the names of a JSON file (pattern -> manifest digest), read at each request."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], blobs: Path, names: Path) -> None:
        super().__init__(address, Handler)
        self.blobs = blobs
        self.names = names

    def find(self, kind: str, repository: str, reference: str) -> tuple[str, Path] | None:
        """Digest and file of a manifest or blob, or None."""
        digest: str | None = reference
        if kind == "manifests" and not reference.startswith("sha256:"):
            digest = resolve(json.loads(self.names.read_text()), repository, reference)
        if digest is None or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            return None
        path = self.blobs / digest.removeprefix("sha256:")
        return (digest, path) if path.exists() else None


class Handler(BaseHTTPRequestHandler):
    """One request of the distribution API."""

    protocol_version = "HTTP/1.1"
    server: Mirror

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        match = _ROUTE.match(self.path)
        if match is None:
            known = self.path.split("?")[0] in ("/v2", "/v2/")
            self._send(200 if known else 404, b"{}", body)
            return
        found = self.server.find(match["kind"], match["repository"], match["reference"])
        if found is None:
            code = "MANIFEST_UNKNOWN" if match["kind"] == "manifests" else "BLOB_UNKNOWN"
            message = (
                f"the local cluster has no image {match['repository']}:{match['reference']}; see docs/local-cluster.md"
            )
            self._send(404, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), body)
            return
        digest, path = found
        self.send_response(200)
        kind = MANIFEST_TYPE if match["kind"] == "manifests" else "application/octet-stream"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(path.stat().st_size))
        self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if body:
            with path.open("rb") as stream:
                shutil.copyfileobj(stream, self.wfile, 1 << 20)

    def _send(self, status: int, data: bytes, body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blobs", type=Path, required=True)
    parser.add_argument("--names", type=Path, required=True)
    parser.add_argument("--port", type=int, default=PORT)
    options = parser.parse_args()
    Mirror(("127.0.0.1", options.port), options.blobs, options.names).serve_forever()


if __name__ == "__main__":
    main()
