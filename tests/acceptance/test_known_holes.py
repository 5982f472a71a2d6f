"""Whether what is installed here is known to be vulnerable, as far as that can be asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.environments import environment

pytestmark = pytest.mark.acceptance

#: Known holes that do not concern us, with the reason of each.
EXCEPTIONS: dict[str, str] = {}


def test_no_package_that_is_installed_has_a_known_hole(tmp_path: Path) -> None:
    """Asked of PyPI; a mirror without its data of holes knows none of the packages."""
    frozen = subprocess.run(
        [sys.executable, "-m", "pip", "freeze", "--exclude-editable"],
        capture_output=True,
        text=True,
        check=True,
    )
    packages = tmp_path / "packages.txt"
    packages.write_text(frozen.stdout, encoding="utf-8")
    audited = subprocess.run(
        [
            environment("pip-audit", ("pip-audit>=2.7",)) / "bin" / "pip-audit",
            *("--requirement", packages, "--no-deps", "--disable-pip"),
            *("--format", "json", "--progress-spinner", "off"),
        ],
        capture_output=True,
        text=True,
    )
    if not audited.stdout:
        pytest.skip(f"no data of holes: {audited.stderr.strip().splitlines()[-1]}")
    found = json.loads(audited.stdout)["dependencies"]
    known = [package for package in found if "skip_reason" not in package]
    if not known:
        pytest.skip("no data of holes: the package index knows none of the versions installed")
    holes = {
        hole["id"]: f"{package['name']} {package['version']}"
        for package in known
        for hole in package["vulns"]
    }
    assert holes.keys() - EXCEPTIONS.keys() == set(), holes
    assert EXCEPTIONS.keys() - holes.keys() == set(), "exceptions for what is mended"
