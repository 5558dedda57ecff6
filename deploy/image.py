"""Builds the operator's image from the Dockerfile and loads it into the local cluster. `make image` runs it.

It uses `docker build` if a Docker engine answers, otherwise buildah with the local cluster's Debian base image. Both write an
archive, which `deploy/local/cluster.py load` loads into the cluster.
"""

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
LOCAL = REPO / "deploy" / "local"
sys.path.insert(0, str(LOCAL))

from localcluster import binaries, host, images, store  # noqa: E402
from localcluster.errors import ClusterError  # noqa: E402
from localcluster.layers import MANIFEST_TYPE  # noqa: E402
from localcluster.paths import cache_root  # noqa: E402
from localcluster.progress import say, step  # noqa: E402

SBOM = "opt/runwright/sbom.cdx.json"
"""Path of the bill of materials in the image."""

EPOCH = "1700000000"
"""Timestamp of all files in the image, in seconds: the same sources give the same bytes at any time."""

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
KEPT_ARCHIVES = 3


def sources() -> list[Path]:
    """All source files of the image."""
    package = REPO / "operator" / "runwright"
    code = [path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return [REPO / "Dockerfile", REPO / "requirements.txt", REPO / "deploy" / "sbom.py", *sorted(code)]


def reference() -> str:
    """The image's name. Its tag is a hash of its sources."""
    digest = hashlib.sha256()
    for path in sources():
        data = path.read_bytes()
        digest.update(f"{path.relative_to(REPO)}\0{len(data)}\0".encode() + data)
    return f"runwright:dev-{digest.hexdigest()[:12]}"


def run(command: Sequence[str | Path], title: str, estimate: float) -> None:
    """Run one step of the build. `estimate` is its usual duration in seconds.

    Raises:
        ClusterError: if it fails, with the end of its output.
    """
    with step(title, estimate):
        done = subprocess.run([*map(str, command)], cwd=REPO, text=True, capture_output=True, check=False)
        if done.returncode:
            output = "\n    ".join((done.stdout + done.stderr).strip().splitlines()[-15:])
            raise ClusterError(f"{command[0]} failed:\n    {output}", "Fix the error, then run: make image")


def build_with_docker(image: str, archive: Path) -> None:
    """Build `image` with the Docker engine and save it as `archive`."""
    epoch = ["--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}"]
    run(["docker", "build", *epoch, "--tag", image, "."], f"docker build of {image}", 60)
    run(["docker", "save", "--output", archive, image], "save the image as an archive", 10)


def base_for_buildah(storage: Sequence[str | Path], cache: Path) -> str:
    """Name of the local cluster's base image in buildah's storage. Copies it from the blob store if it is missing."""
    digest = images.base_image()
    tag = f"base:{digest.removeprefix('sha256:')[:12]}"
    name = f"localhost/{tag}"
    known = subprocess.run([*storage, "inspect", "--type", "image", name], capture_output=True, check=False)
    if known.returncode == 0:
        return name
    manifest = {
        "mediaType": MANIFEST_TYPE,
        "digest": digest,
        "size": store.blob_path(digest).stat().st_size,
        "annotations": {"org.opencontainers.image.ref.name": tag},
    }
    documents = {
        "oci-layout": {"imageLayoutVersion": "1.0.0"},
        "index.json": {"schemaVersion": 2, "manifests": [manifest]},
    }
    archive = cache / "base.tar"
    with tarfile.open(archive, "w") as tar:
        for path, document in documents.items():
            data = json.dumps(document).encode()
            member = tarfile.TarInfo(path)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for blob in store.referenced(digest):
            tar.add(store.blob_path(blob), f"blobs/sha256/{blob.removeprefix('sha256:')}")
    run([*storage, "pull", f"oci-archive:{archive}"], "load the base image into buildah", 10)
    archive.unlink()
    return name


def build_with_buildah(image: str, archive: Path, cache: Path, *, use_layers: bool = True) -> None:
    """Build `image` with buildah, without a daemon or a registry, and save it as `archive`.

    Without `use_layers`, it reuses no layer of an earlier build.
    """
    host.ensure_packages(host.IMAGE_PACKAGES)
    storage: list[str | Path] = ["buildah", "--root", cache / "storage", "--runroot", cache / "run"]
    # overlay keeps unchanged layers for the next build. vfs works everywhere, but copies each layer in full.
    probe = subprocess.run([*storage, "--storage-driver", "overlay", "info"], capture_output=True, check=False)
    overlay = probe.returncode == 0
    storage += ["--storage-driver", "overlay" if overlay else "vfs"]
    build = [*storage, "bud", f"--layers={str(overlay).lower()}", "--isolation", "chroot", "--network", "host"]
    build += ["--timestamp", EPOCH, *([] if use_layers else ["--no-cache"])]
    if CERTIFICATES.exists():
        build += ["--secret", f"id=ca,src={CERTIFICATES}"]
    base = base_for_buildah(storage, cache)
    run([*build, "--build-arg", f"BASE={base}", "--tag", image, "."], f"buildah build of {image}", 30)
    run([*storage, "push", image, f"docker-archive:{archive}:{image}"], "save the image as an archive", 10)


def build(image: str, cache: Path) -> Path:
    """The archive of `image` in `cache`. Builds it if it is missing."""
    archive = cache / f"{image.partition(':')[2]}.tar"
    if archive.exists():
        archive.touch()
        return archive
    scratch = archive.with_suffix(".tmp")
    scratch.unlink(missing_ok=True)
    if host.docker_answers()[0]:
        build_with_docker(image, scratch)
    else:
        build_with_buildah(image, scratch, cache)
    scratch.rename(archive)
    for old in sorted(cache.glob("dev-*.tar"), key=lambda path: path.stat().st_mtime)[:-KEPT_ARCHIVES]:
        old.unlink()
    return archive


def bill_of_materials(archive: Path) -> str:
    """The bill of materials of the image in the archive, as CycloneDX JSON."""
    with tarfile.open(archive) as outer:
        (manifest,) = json.load(outer.extractfile("manifest.json") or io.BytesIO())
        for layer in reversed(manifest["Layers"]):
            with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                if SBOM in inner.getnames():
                    return (inner.extractfile(SBOM) or io.BytesIO()).read().decode()
    raise ClusterError(f"{archive} has no {SBOM}", "Fix the Dockerfile, then run: make image")


def ensure_built() -> tuple[str, Path]:
    """The image's name and its archive. Builds it if it is missing. Raises ClusterError if the build fails."""
    image = reference()
    cache = cache_root() / "operator-image"
    with binaries.build_lock(cache):
        return image, build(image, cache)


def deliver(cluster: str) -> str:
    """Build the image if it is missing, load it into `cluster`, and return its name.

    Raises:
        ClusterError: if the build fails.
        SystemExit: if `cluster.py load` fails; it prints the reason.
    """
    say(f"→ the operator's image, {reference()}")
    image, archive = ensure_built()
    done = subprocess.run([sys.executable, LOCAL / "cluster.py", "load", "--name", cluster, archive], check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return image


def main() -> int:
    """Read the command line and build the image."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--name", default="default", help="the local cluster's name")
    parser.add_argument("--sbom", action="store_true", help="only print the image's bill of materials, as CycloneDX")
    arguments = parser.parse_args()
    try:
        if arguments.sbom:
            print(bill_of_materials(ensure_built()[1]))
        else:
            deliver(arguments.name)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
