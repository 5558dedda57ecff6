"""Builds the krew package of `kubectl runwright`: an archive for this system and Python, and the manifest of several archives.

python deploy/krew/release.py archive --output dist
python deploy/krew/release.py manifest --uri https://HOST/PATH --homepage https://HOST dist/*.tar.gz > runwright.yaml
"""

import argparse
import gzip
import hashlib
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
"""Go's (and krew's) name of an architecture, by Python's name."""

NAME = re.compile(r"kubectl-runwright_(v[^_]+)_([a-z]+)_([a-z0-9]+)\.tar\.gz")

START = "from runwright.kubectl.commands import run_kubectl\n\nrun_kubectl()\n"


def version() -> str:
    """The package's version with the prefix `v`, as krew requires."""
    found = re.search(r'__version__ = "(.+)"', (REPO / "operator" / "runwright" / "__init__.py").read_text())
    assert found is not None
    return f"v{found[1]}"


def install(lib: Path) -> None:
    """Install the package and its pinned requirements into a folder."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(lib)]
    subprocess.run([*pip, "--require-hashes", "-r", str(REPO / "requirements.txt")], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--upgrade", str(REPO)], check=True)


def make_archive(lib: Path, output: Path) -> Path:
    """Write an archive of `lib` and the start script. The same files give the same bytes."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    machine = ARCHITECTURES.get(platform.machine(), platform.machine())
    (lib / "kubectl_runwright.py").write_text(START)
    output.mkdir(parents=True, exist_ok=True)
    archive = output / f"kubectl-runwright_{version()}_{sys.platform}_{machine}.tar.gz"
    with tempfile.TemporaryDirectory() as folder:
        starter = Path(folder) / "kubectl-runwright"
        starter.write_text((HERE / "kubectl-runwright").read_text().replace("PYTHON", python))
        starter.chmod(0o755)
        with (
            archive.open("wb") as raw,
            gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as packed,
            tarfile.open(fileobj=packed, mode="w") as tar,
        ):
            tar.add(starter, "kubectl-runwright", filter=plain)
            tar.add(REPO / "LICENSE", "LICENSE", filter=plain)
            for path in sorted(lib.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    tar.add(path, str(Path("lib") / path.relative_to(lib)), filter=plain)
    return archive


def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The entry without owner and time."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def manifest(archives: list[Path], uri: str, homepage: str) -> str:
    """krew's manifest for archives that can be downloaded from `uri`.

    Raises:
        SystemExit: the archives have different versions, or a name has another format than in `make_archive`.
    """
    plugin = yaml.safe_load((HERE / "runwright.yaml").read_text())
    (template,) = plugin["spec"]["platforms"]
    plugin["spec"] |= {"homepage": homepage, "platforms": []}
    for archive in archives:
        named = NAME.fullmatch(archive.name)
        if named is None or plugin["spec"]["version"] not in ("VERSION", named[1]):
            sys.exit(f"{archive}: expected kubectl-runwright_VERSION_OS_ARCH.tar.gz, all of one version")
        plugin["spec"]["version"] = named[1]
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        labels = {"os": named[2], "arch": named[3]}
        one = {"uri": f"{uri.rstrip('/')}/{archive.name}", "sha256": digest, "selector": {"matchLabels": labels}}
        plugin["spec"]["platforms"].append({**template, **one})
    return yaml.safe_dump(plugin, sort_keys=False, width=120)


def main() -> None:
    """Read the command line and write the archive or the manifest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    archive = commands.add_parser("archive", help="build the archive for this system and this Python")
    archive.add_argument("--output", type=Path, default=Path("dist"), help="folder (default: dist)")
    written = commands.add_parser("manifest", help="print the manifest of archives")
    written.add_argument("--uri", required=True, help="address from which the archives can be downloaded")
    written.add_argument("--homepage", required=True)
    written.add_argument("archives", type=Path, nargs="+")
    given = parser.parse_args()
    if given.command == "manifest":
        print(manifest(given.archives, given.uri, given.homepage), end="")
        return
    with tempfile.TemporaryDirectory() as folder:
        lib = Path(folder) / "lib"
        install(lib)
        print(make_archive(lib, given.output))


if __name__ == "__main__":
    main()
