"""A cluster that the user names: used as it is; only Argo is put in if it lacks it, and only if the user agrees."""

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
    """See that the named cluster answers and has Argo, and leave its kubeconfig in `.cluster/`.

    Raises:
        ClusterError: if it does not answer, or lacks Argo and the user does not agree to install it.
    """
    absent = [part for part in kubeconfig.split(":") if part and not Path(part).expanduser().exists()]
    if absent:
        raise ClusterError(f"The kubeconfig {absent[0]} does not exist.", "Correct KUBECONFIG, or unset it.")
    source = Kubectl(find(), kubeconfig)
    # --kubeconfig takes one file, the variable a list of them; minify keeps the current context alone.
    text = source.run("config", "view", "--minify", "--flatten", "--raw", "-o", "json")
    home.write_kubeconfig(paths, text)
    home.link_programs(paths, {"kubectl": source.program})
    kubectl = Kubectl(source.program, paths.kubeconfig)
    context = kubectl.run("config", "current-context").strip()
    if not kubectl.answers():
        raise ClusterError(
            f"The cluster of context {context} in {kubeconfig} does not answer.",
            f"Try `kubectl --kubeconfig {kubeconfig} get --raw /readyz`; unset KUBECONFIG to start a local cluster.",
        )
    lacking = argo_install.missing(kubectl)
    if not lacking:
        say(f"  cluster of context {context} answers and has Argo; nothing to install")
        return
    question = f"The cluster of context {context} lacks {' and '.join(lacking)}. Install Argo and an S3 server there?"
    if not _agree(question, yes):
        raise ClusterError(
            f"The cluster of context {context} lacks {' and '.join(lacking)}, and nothing was installed.",
            "Run it again with --yes to install Argo and an S3 server into its namespace argo, or install Argo yourself.",
        )
    argo_install.install(kubectl, own_images=False)


def down(paths: ClusterPaths) -> None:
    """Forget the cluster; what runs in it is the user's."""
    say("  this cluster was named by you: nothing in it is removed, only .cluster/kubeconfig")
    say("  how to remove Argo from it, if this tool installed it: docs/local-cluster.md")
