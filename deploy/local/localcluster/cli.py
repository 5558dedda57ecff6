"""The command line: up, down, status, images, load, kubeconfig, exec, start, stop, restart, examples."""

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import (
    binaries,
    choice,
    components,
    components_cluster,
    controls,
    delivery,
    home,
    host,
    images,
    kind_cluster,
    named_cluster,
    record,
    status,
)
from .choice import Provider
from .errors import ClusterError
from .paths import DEFAULT_NAME, ClusterPaths, cache_root, checked_name
from .progress import say, seconds

EPILOG = """\
`up` uses the cluster that --kubeconfig or KUBECONFIG names; otherwise kind, if a Docker engine answers; otherwise the real
components, built from pinned Go modules and started on this machine. For details, see docs/local-cluster.md.
"""


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    top = argparse.ArgumentParser(
        prog="cluster.py",
        description="Start, show and stop the cluster for development and tests of Runwright.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default=argparse.SUPPRESS, help=f"name of the cluster (default: {DEFAULT_NAME})")
    common.add_argument("--kubeconfig", default=argparse.SUPPRESS, help="use the cluster of this kubeconfig")
    common.add_argument(
        "--yes", action="store_true", default=argparse.SUPPRESS, help="install missing parts without asking"
    )
    top.add_argument("--name", default=DEFAULT_NAME, help=f"name of the cluster (default: {DEFAULT_NAME})")
    top.add_argument("--kubeconfig", help="use the cluster of this kubeconfig")
    top.add_argument("--yes", action="store_true", help="install missing parts without asking")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", parents=[common])

    command("up", "start or repair the cluster and write .cluster/kubeconfig")
    command("down", "remove the cluster completely from this machine")
    command("status", "show the state of the cluster; the exit code is 1 if a part is not running")
    command("images", "build missing images and list their names in the cluster")
    command("load", "load the images of an archive into the cluster").add_argument("archive", type=Path)
    command("kubeconfig", "print the path of the cluster's kubeconfig")
    command("examples", "print the folder of the examples in Argo's Go module")
    run = command("exec", "run a command with KUBECONFIG set and argo and kubectl on PATH")
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND")
    parts = ", ".join((*components.NAMES, *controls.DEPLOYMENTS))
    for verb, text in (("start", "start a part again"), ("stop", "stop a part"), ("restart", "stop and start a part")):
        command(verb, f"{text}: {parts}").add_argument("part", choices=(*components.NAMES, *controls.DEPLOYMENTS))
    return top


@contextmanager
def _lock(paths: ClusterPaths) -> Iterator[None]:
    """Lock the cluster, so that one command at a time changes it. Waits for the other command."""
    path = cache_root() / "locks" / f"{paths.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"  → waiting for another command that changes cluster {paths.name}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _recorded(paths: ClusterPaths) -> Provider | None:
    """Provider of the existing cluster of this name, or None."""
    noted = home.read_provider(paths)
    # The state of real components belongs to the machine. Another checkout may have started them.
    return noted or (Provider.COMPONENTS if record.read(paths) else None)


def _facts(options: argparse.Namespace, paths: ClusterPaths) -> choice.Facts:
    recorded = _recorded(paths)
    answers, why_not = (False, "not checked") if recorded else host.docker_answers()
    return choice.Facts(
        kubeconfig_flag=options.kubeconfig,
        kubeconfig_env=os.environ.get("KUBECONFIG"),
        own_kubeconfigs=home.own_kubeconfigs(),
        docker_answers=answers,
        docker_why_not=why_not,
        root=host.is_root(),
        linux=sys.platform == "linux",
        recorded=recorded,
    )


def _up(options: argparse.Namespace, paths: ClusterPaths) -> None:
    start = time.monotonic()
    chosen = choice.choose(_facts(options, paths))
    say(f"cluster {paths.name}: {chosen.provider.value}, because {chosen.reason}")
    if chosen.provider is Provider.NAMED:
        named_cluster.up(paths, chosen.kubeconfig or "", options.yes)
    elif chosen.provider is Provider.KIND:
        kind_cluster.up(paths)
    else:
        components_cluster.up(paths)
    home.write_provider(paths, chosen.provider)
    say(f"cluster {paths.name} is ready after {seconds(time.monotonic() - start)}. {status.how_to_use(paths)}")


def _down(paths: ClusterPaths) -> None:
    provider = _recorded(paths)
    if provider is Provider.NAMED:
        named_cluster.down(paths)
    elif provider is Provider.KIND:
        kind_cluster.down(paths)
    elif host.is_root():
        components_cluster.down(paths)
    else:
        raise ClusterError(
            "Root is required to remove the cluster's processes and namespaces.", "Run the command with sudo."
        )
    home.remove(paths)
    if provider is not Provider.NAMED:
        say(f"cluster {paths.name} is removed; built programs and images stay in {cache_root()}")


def _load(paths: ClusterPaths, archive: Path) -> None:
    provider = _recorded(paths)
    if provider is Provider.NAMED:
        raise ClusterError(
            "Images cannot be loaded into a cluster that KUBECONFIG names.",
            f"Push {archive} to a registry of the cluster, then run: make deploy IMAGE=registry/runwright:tag",
        )
    if provider is Provider.KIND:
        kind_cluster.load(paths, archive)
    else:
        delivery.load(paths, archive)


def _images() -> None:
    host.ensure_packages(host.PACKAGES)
    for name, digest in images.build_all(components_cluster.ensure_programs()).items():
        say(f"{name:<44} {digest}")


def _exec(paths: ClusterPaths, argv: list[str]) -> int:
    command = argv[1:] if argv[:1] == ["--"] else argv
    if not command:
        raise ClusterError("exec: a command is missing.", "For example: cluster.py exec -- argo list -A")
    os.environ |= {"KUBECONFIG": str(paths.kubeconfig), "PATH": f"{paths.bin}:{os.environ['PATH']}"}
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command that the user gave
    except OSError as error:
        raise ClusterError(f"{command[0]} cannot be run: {error.strerror}.", "Check the name and PATH.") from error


def _status(paths: ClusterPaths) -> bool:
    provider = _recorded(paths)
    if provider in (Provider.NAMED, Provider.KIND):
        return status.show_remote(paths, provider.value)
    return status.show_components(paths)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code.

    Raises:
        ClusterError: if it fails.
    """
    paths = ClusterPaths(checked_name(options.name))
    if options.command == "kubeconfig":
        say(str(paths.kubeconfig))
    elif options.command == "examples":
        say(str(binaries.argo_source() / "examples"))
    elif options.command == "images":
        _images()
    elif options.command == "status":
        return 0 if _status(paths) else 1
    elif options.command == "exec":
        return _exec(paths, options.argv)
    else:
        with _lock(paths):
            if options.command == "up":
                _up(options, paths)
            elif options.command == "down":
                _down(paths)
            elif options.command == "load":
                _load(paths, options.archive)
            else:
                controls.control(paths, options.command, options.part)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Read the command line and run the command; returns the exit code."""
    options = parser().parse_args(argv)
    try:
        return run(options)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("interrupted. Run the same command again to continue, or `down` to clean up", file=sys.stderr)
        return 130
