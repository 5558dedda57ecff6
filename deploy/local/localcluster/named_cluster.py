"""A cluster that the user names. It is used unchanged; only a missing Argo is installed, if the user agrees."""

import sys
from pathlib import Path

from . import argo_install, home
from .errors import ClusterError
from .kubectl import Kubectl, find
from .paths import ClusterPaths
from .progress import say


def _agree(question: str, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def up(paths: ClusterPaths, kubeconfig: str, yes: bool) -> None:
    """Check that the named cluster answers and has Argo, and write its kubeconfig to `.cluster/`.

    Raises:
        ClusterError: if it does not answer, or lacks Argo and the user does not agree to install it.
    """
    absent = [part for part in kubeconfig.split(":") if part and not Path(part).expanduser().exists()]
    if absent:
        raise ClusterError(f"The kubeconfig {absent[0]} does not exist.", "Correct KUBECONFIG or unset it.")
    source = Kubectl(find(), kubeconfig)
    # --kubeconfig accepts one file, the variable a list. minify keeps only the current context.
    text = source.run("config", "view", "--minify", "--flatten", "--raw", "-o", "json")
    home.write_kubeconfig(paths, text)
    home.link_programs(paths, {"kubectl": source.program})
    kubectl = Kubectl(source.program, paths.kubeconfig)
    context = kubectl.run("config", "current-context").strip()
    if not kubectl.answers():
        raise ClusterError(
            f"The cluster of context {context} in {kubeconfig} does not answer.",
            f"Check `kubectl --kubeconfig {kubeconfig} get --raw /readyz`, or unset KUBECONFIG to start a local cluster.",
        )
    lacking = argo_install.missing(kubectl)
    if not lacking:
        say(f"  cluster of context {context} answers and has Argo; nothing to install")
        return
    question = f"The cluster of context {context} lacks {' and '.join(lacking)}. Install Argo and an S3 server there?"
    if not _agree(question, yes):
        raise ClusterError(
            f"The cluster of context {context} lacks {' and '.join(lacking)}, and nothing was installed.",
            "Run the command with --yes to install Argo and an S3 server in the namespace argo, or install Argo yourself.",
        )
    argo_install.install(kubectl, own_images=False)


def down(paths: ClusterPaths) -> None:
    """Remove only the kubeconfig; the cluster stays unchanged."""
    say("  KUBECONFIG named this cluster: only .cluster/kubeconfig is removed, the cluster stays unchanged")
    say("  to remove an Argo that this tool installed: docs/local-cluster.md")
