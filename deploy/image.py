"""Builds the operator's image from the Dockerfile and gives it to the local cluster. `make image` runs it.

With a Docker engine: `docker build`. Without: buildah, on the local cluster's own Debian base image. Either way the
image leaves as an archive, which `deploy/local/cluster.py load` puts where the cluster's pods find it.
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
"""Where the image says what is in it."""

EPOCH = "1700000000"
"""The time of everything in the image, in seconds: the same sources give the same bytes, whenever they are built."""

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
KEPT_ARCHIVES = 3


def sources() -> list[Path]:
    """Every file that the image is made of."""
    package = REPO / "operator" / "runwright"
    code = [path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return [REPO / "Dockerfile", REPO / "requirements.txt", REPO / "deploy" / "sbom.py", *sorted(code)]


def reference() -> str:
    """The image's name; its tag stands for the content of its sources, so that another tag means another program."""
    digest = hashlib.sha256()
    for path in sources():
        data = path.read_bytes()
        digest.update(f"{path.relative_to(REPO)}\0{len(data)}\0".encode() + data)
    return f"runwright:dev-{digest.hexdigest()[:12]}"


def run(command: Sequence[str | Path], what: str, estimate: float) -> None:
    """Run one step of the build; `estimate` in seconds. Its output is shown only if it fails.

    Raises:
        ClusterError: if it failed, with the end of what it printed.
    """
    with step(what, estimate):
        done = subprocess.run([*map(str, command)], cwd=REPO, text=True, capture_output=True, check=False)
        if done.returncode:
            said = "\n    ".join((done.stdout + done.stderr).strip().splitlines()[-15:])
            raise ClusterError(f"{command[0]} failed:\n    {said}", "Mend that, then: make image")


def build_with_docker(image: str, archive: Path) -> None:
    """Build `image` with the Docker engine and save it as `archive`."""
    epoch = ["--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}"]
    run(["docker", "build", *epoch, "--tag", image, "."], f"docker build of {image}", 60)
    run(["docker", "save", "--output", archive, image], "save the image as an archive", 10)


def base_for_buildah(storage: Sequence[str | Path], cache: Path) -> str:
    """The name in buildah's storage of the local cluster's base image, brought there from the blob store if it is new."""
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
    run([*storage, "pull", f"oci-archive:{archive}"], "give buildah the base image", 10)
    archive.unlink()
    return name


def build_with_buildah(image: str, archive: Path, cache: Path, *, anew: bool = False) -> None:
    """Build `image` with buildah, with neither a daemon nor a registry, and save it as `archive`.

    With `anew`, no layer is taken from an earlier build.
    """
    host.ensure_packages(host.IMAGE_PACKAGES)
    storage: list[str | Path] = ["buildah", "--root", cache / "storage", "--runroot", cache / "run"]
    # overlay keeps the layers of what did not change for the next build; vfs works everywhere, but copies each whole.
    probe = subprocess.run([*storage, "--storage-driver", "overlay", "info"], capture_output=True, check=False)
    overlay = probe.returncode == 0
    storage += ["--storage-driver", "overlay" if overlay else "vfs"]
    build = [*storage, "bud", f"--layers={str(overlay).lower()}", "--isolation", "chroot", "--network", "host"]
    build += ["--timestamp", EPOCH, *(["--no-cache"] if anew else [])]
    if CERTIFICATES.exists():
        build += ["--secret", f"id=ca,src={CERTIFICATES}"]
    base = base_for_buildah(storage, cache)
    run([*build, "--build-arg", f"BASE={base}", "--tag", image, "."], f"buildah build of {image}", 30)
    run([*storage, "push", image, f"docker-archive:{archive}:{image}"], "save the image as an archive", 10)


def build(image: str, cache: Path) -> Path:
    """The archive of `image` in `cache`, built unless it is still there from before."""
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
    """What the image in the archive says is in it, as CycloneDX."""
    with tarfile.open(archive) as outer:
        (manifest,) = json.load(outer.extractfile("manifest.json") or io.BytesIO())
        for layer in reversed(manifest["Layers"]):
            with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                if SBOM in inner.getnames():
                    return (inner.extractfile(SBOM) or io.BytesIO()).read().decode()
    raise ClusterError(f"{archive} has no {SBOM}", "Mend the Dockerfile, then: make image")


def built() -> tuple[str, Path]:
    """The image's name and its archive; it is built unless it is there already. Raises ClusterError if it cannot be built."""
    image = reference()
    cache = cache_root() / "operator-image"
    with binaries.build_lock(cache):
        return image, build(image, cache)


def deliver(cluster: str) -> str:
    """Build the image unless it is built already, give it to `cluster`, and return its name.

    Raises:
        ClusterError: if it cannot be built.
        SystemExit: if the cluster cannot be given it; `cluster.py load` has said why.
    """
    say(f"→ the operator's image, {reference()}")
    image, archive = built()
    done = subprocess.run([sys.executable, LOCAL / "cluster.py", "load", "--name", cluster, archive], check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return image


def main() -> int:
    """Build what is missing and give it to the cluster that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--name", default="default", help="the local cluster's name")
    parser.add_argument("--sbom", action="store_true", help="only print what is in the image, as CycloneDX")
    arguments = parser.parse_args()
    try:
        if arguments.sbom:
            print(bill_of_materials(built()[1]))
        else:
            deliver(arguments.name)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
