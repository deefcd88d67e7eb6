"""A package with a file too many or too few is noticed before it is published."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
from check_packages import IN_DIST_INFO, MADE_FOR_SDIST, Project
from conftest import REPOSITORY

METADATA = """\
Metadata-Version: 2.4
Summary: s
Keywords: k
Requires-Python: >=3.11
License-Expression: Apache-2.0
License-File: LICENSE
Classifier: Typing :: Typed
"""


@pytest.fixture(params=["core", "unittest-adapter"])
def project(request: pytest.FixtureRequest) -> Project:
    return Project(REPOSITORY / "packages" / request.param)


def wheel_of(project: Project, tmp_path: Path, *, extensions: int = 3) -> Path:
    wheel = tmp_path / "one.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in project.committed("src"):
            archive.writestr(name, "")
        for name in IN_DIST_INFO:
            archive.writestr(f"{project.stem}.dist-info/{name}", METADATA)
        if (project.directory / "csrc").exists():
            for name in ("_marks", "_scanner", "_tracemalloc")[:extensions]:
                archive.writestr(f"membudget/recording/{name}.abi3.so", "")
    return wheel


def test_a_wheel_that_is_right(project: Project, tmp_path: Path) -> None:
    assert not list(project.problems_of_wheel(wheel_of(project, tmp_path)))


def test_a_wheel_with_more(project: Project, tmp_path: Path) -> None:
    wheel = wheel_of(project, tmp_path)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tests/test_it.py", "")
    assert list(project.problems_of_wheel(wheel)) == ["tests/test_it.py does not belong in it"]


def test_a_wheel_whose_extension_was_not_built(tmp_path: Path) -> None:
    """The build succeeds: the extensions are optional."""
    project = Project(REPOSITORY / "packages/core")
    assert list(project.problems_of_wheel(wheel_of(project, tmp_path, extensions=2))) == [
        "its C extensions are _marks, _scanner"
    ]


def test_a_source_distribution_without_a_file(project: Project, tmp_path: Path) -> None:
    left_out = sorted(project.committed())[-1]
    sdist = tmp_path / "one.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        for name in (project.committed() | MADE_FOR_SDIST) - {left_out}:
            archive.addfile(tarfile.TarInfo(f"{project.stem}/{name}"))
    assert list(project.problems_of_sdist(sdist)) == [f"{left_out} is missing"]
