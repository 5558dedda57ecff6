"""Prints the bill of materials of the operator's image, as CycloneDX 1.6: Python packages and Debian packages.

The Dockerfile runs it at the end of the build: `sbom.py PACKAGE`. It needs only Python. The document has no date, so that the same
image gives the same document.
"""

import json
import re
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

DPKG = Path("/var/lib/dpkg/status")


def normal(name: str) -> str:
    """The normalized name of a package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def python_package(one: Distribution) -> dict[str, Any]:
    """The component of a Python distribution."""
    name, version = normal(one.metadata["Name"]), one.version
    purl = f"pkg:pypi/{name}@{version}"
    component: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    metadata = one.metadata.json
    stated = str(metadata.get("license_expression") or metadata.get("license") or "")
    if stated and "\n" not in stated:
        component["licenses"] = [{"license": {"name": stated}}]
    return component


def debian_packages(status: str) -> list[dict[str, Any]]:
    """The components of the packages in a dpkg status file."""
    found: list[dict[str, Any]] = []
    for block in status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Architecture|Status): (.+)$", block, re.MULTILINE))
        if fields.get("Status") == "install ok installed":
            purl = f"pkg:deb/debian/{fields['Package']}@{fields['Version']}?arch={fields['Architecture']}"
            name, version = fields["Package"], fields["Version"]
            found.append({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl})
    return found


def document(version: str, components: list[dict[str, Any]]) -> dict[str, Any]:
    """The bill of materials."""
    program = {"type": "application", "bom-ref": "runwright", "name": "runwright", "version": version}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": program},
        "components": sorted(components, key=lambda one: one["bom-ref"]),
        "dependencies": [{"ref": "runwright", "dependsOn": sorted(one["bom-ref"] for one in components)}],
    }


def main() -> int:
    """Print the document of this Python environment."""
    package = Path(sys.argv[1])
    version = re.search(r'__version__ = "(.+)"', (package / "__init__.py").read_text())
    assert version, f"{package} has no version"
    components = [python_package(one) for one in distributions()]
    components += debian_packages(DPKG.read_text()) if DPKG.exists() else []
    json.dump(document(version[1], components), sys.stdout, indent=1, sort_keys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
