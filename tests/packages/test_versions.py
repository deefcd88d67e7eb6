"""The three packages are released together, with one version."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY

FILES = sorted(REPOSITORY.glob("packages/*/pyproject.toml"))
PROJECTS: dict[str, dict[str, Any]] = {
    project["name"]: project
    for project in (tomllib.loads(file.read_text())["project"] for file in FILES)
}
VERSION = PROJECTS["membudget"]["version"]
ADAPTERS = ["pytest-membudget", "unittest-membudget"]


def test_there_are_three_packages_of_one_version() -> None:
    assert sorted(PROJECTS) == ["membudget", *ADAPTERS]
    assert {project["version"] for project in PROJECTS.values()} == {VERSION}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_adapter_is_installed_with_its_core_and_by_its_extra(adapter: str) -> None:
    """``pip install membudget[pytest]`` gets versions that belong together."""
    assert f"membudget=={VERSION}" in PROJECTS[adapter]["dependencies"]
    extra = adapter.partition("-")[0]
    assert PROJECTS["membudget"]["optional-dependencies"][extra] == [f"{adapter}=={VERSION}"]


def test_the_changelog_begins_with_this_version() -> None:
    first = next(
        line for line in (REPOSITORY / "CHANGELOG.md").read_text().splitlines() if line[:3] == "## "
    )
    assert first.startswith(f"## {VERSION} (")


@pytest.mark.parametrize("package", [file.parent for file in FILES], ids=lambda path: path.name)
def test_every_package_has_the_license_of_the_repository(package: Path) -> None:
    assert (package / "LICENSE").read_bytes() == (REPOSITORY / "LICENSE").read_bytes()
