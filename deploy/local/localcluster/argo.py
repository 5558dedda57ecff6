"""Argo's manifests with this cluster's configuration, rendered once per pin."""

import hashlib
import json
import re
import shutil
import stat
import tempfile
from pathlib import Path

from . import addons, binaries, pins
from .addons import ArgoImages
from .kubectl import kustomize
from .paths import PINS, cache_root

_DEPLOYMENT = "base/workflow-controller/workflow-controller-deployment.yaml"


def images_of(deployment: str) -> ArgoImages:
    """The image names in Argo's manifest, at the pinned version instead of `latest`."""
    match = re.search(r"image: (\S+/workflow-controller):", deployment)
    if match is None:
        return ArgoImages()
    controller = match[1]
    executor = controller.removesuffix("workflow-controller") + "argoexec"
    return ArgoImages(f"{controller}:{pins.ARGO_VERSION}", f"{executor}:{pins.ARGO_VERSION}")


def render(kubectl: Path, s3_endpoint: str, images: ArgoImages | None = None) -> str:
    """The YAML that installs Argo: CRDs, RBAC, controller and configuration. Cached by a hash of its inputs.

    Without `images`, it uses the images of Argo's manifest.
    """
    overlay = addons.argo_overlay("", images or ArgoImages(), s3_endpoint)
    key = json.dumps([pins.read_hash(pins.ARGO, PINS), overlay, images is None])
    cached = cache_root() / "manifests" / f"argo-{hashlib.sha256(key.encode()).hexdigest()[:16]}.yaml"
    if cached.exists():
        return cached.read_text()
    cached.parent.mkdir(parents=True, exist_ok=True)
    source = binaries.argo_source() / "manifests"
    images = images or images_of((source / _DEPLOYMENT).read_text())
    with tempfile.TemporaryDirectory() as scratch:
        # kustomize accepts only relative paths, so copy the base next to the overlay.
        copy = Path(scratch) / "manifests"
        shutil.copytree(source, copy, copy_function=shutil.copyfile)
        for folder in [copy, *(p for p in copy.rglob("*") if p.is_dir())]:
            folder.chmod(folder.stat().st_mode | stat.S_IWUSR)
        folder = Path(scratch) / "overlay"
        folder.mkdir()
        document = addons.argo_overlay("../manifests/cluster-install", images, s3_endpoint)
        (folder / "kustomization.yaml").write_text(json.dumps(document))
        rendered = kustomize(kubectl, folder)
    cached.write_text(rendered)
    return rendered
