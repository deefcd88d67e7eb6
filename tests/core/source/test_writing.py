"""Changes that are written to files: as a whole, in the project, and never over newer changes."""

from __future__ import annotations

import ast
import errno
import os
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from membudget.source.fix import FixPlan
from membudget.source.text import Edit, SourceText
from membudget.source.writing import diff, is_in_ci, write_fixes
from source_project import MB, Project, Use

SOURCE = b"import pytest\n\n\n@pytest.mark.limit_memory('5 MB')\ndef test_it(): ...\n"
FIXED = SOURCE.replace(b"5 MB", b"12 MB")
OVER = {"test_it": Use(limit=5 * MB)}
NOWHERE: dict[str, str] = {}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in a directory of its own, so that there is something outside of it."""
    root = tmp_path / "project"
    root.mkdir()
    return Project(root, is_imported=False)


def planned(project: Project, *names: str) -> FixPlan:
    for name in names:
        project.write(name, SOURCE)
    plans = [project.plan(name, OVER) for name in names]
    return FixPlan(tuple(file for plan in plans for file in plan.files), ())


def test_a_plan_writes_nothing(project: Project) -> None:
    planned(project, "test_it.py")
    assert (project.root / "test_it.py").read_bytes() == SOURCE


def test_a_file_is_written_and_keeps_its_mode(project: Project) -> None:
    plan = planned(project, "tests/test_it.py")
    path = project.root / "tests/test_it.py"
    path.chmod(0o754)
    done = write_fixes(plan, environment=NOWHERE)
    assert (done.written, done.not_written) == (plan.files, ())
    assert path.read_bytes() == FIXED
    assert stat.S_IMODE(path.stat().st_mode) == 0o754
    assert os.listdir(path.parent) == ["test_it.py"]


def test_python_compiles_a_changed_file_again(project: Project) -> None:
    """Even if it was written, run and changed within a second, and has the same size."""
    path = project.write("test_it.py", SOURCE.replace(b"5 MB", b"50 MB"))
    before = path.stat()
    write_fixes(project.plan("test_it.py", {"test_it": Use(limit=50 * MB)}), environment=NOWHERE)
    assert path.read_bytes() == FIXED
    assert path.stat().st_size == before.st_size
    assert int(path.stat().st_mtime) != int(before.st_mtime)


def test_a_symbolic_link_is_kept(project: Project) -> None:
    project.write("real/test_real.py", SOURCE)
    (project.root / "test_it.py").symlink_to("real/test_real.py")
    plan = project.plan("test_it.py", OVER)
    assert [change.file for change in plan.changes] == ["real/test_real.py"]
    write_fixes(plan, environment=NOWHERE)
    assert (project.root / "test_it.py").is_symlink()
    assert (project.root / "real/test_real.py").read_bytes() == FIXED


@pytest.mark.parametrize("link", ["file", "directory", "none"])
def test_nothing_outside_the_root_is_changed(project: Project, link: str) -> None:
    """However the path gets there."""
    outside = Project(project.root.parent / "outside", is_imported=False)
    outside.write("test_it.py", SOURCE)
    project.fingerprints |= outside.fingerprints
    name = "test_it.py"
    if link == "file":
        (project.root / name).symlink_to(outside.root / name)
    elif link == "directory":
        name = "tests/test_it.py"
        (project.root / "tests").symlink_to(outside.root)
    else:
        name = "../outside/test_it.py"
    plan = project.plan(name, OVER)
    assert plan.files == ()
    assert "is not below" in plan.unchanged[0].reason


def test_a_root_is_not_a_text_prefix(project: Project) -> None:
    """The directory ``project-old`` is not in ``project``."""
    project.write("../project-old/test_it.py", SOURCE)
    assert "is not below" in project.fixed("../project-old/test_it.py", OVER)


def test_installed_packages_are_not_changed(project: Project) -> None:
    """A virtual environment is often inside the project."""
    name = ".venv/lib/python3/site-packages/numpy/test_it.py"
    project.write(name, SOURCE)
    assert "belongs to an installed package" in project.fixed(name, OVER)


def test_a_file_that_changed_since_the_import(project: Project) -> None:
    """The lines and figures belong to the old file."""
    path = project.write("test_it.py", SOURCE)
    path.write_bytes(SOURCE + b"# mine\n")
    assert "has changed since the tests were imported" in project.fixed("test_it.py", OVER)
    project.fingerprints.clear()
    assert "it is unknown whether test_it.py has changed" in project.fixed("test_it.py", OVER)
    path.unlink()
    assert "test_it.py cannot be read: No such file" in project.fixed("test_it.py", OVER)
    os.mkfifo(path)
    assert "test_it.py is not a file" in project.fixed("test_it.py", OVER)


def test_a_file_that_changes_after_the_plan(project: Project) -> None:
    """The user's editor writes the file while the diff is shown."""
    plan = planned(project, "test_a.py", "test_b.py")
    (project.root / "test_a.py").write_bytes(b"mine")
    done = write_fixes(plan, environment=NOWHERE)
    assert [one.reason for one in done.not_written] == ["test_a.py was changed during the run"]
    assert [file.disk.shown for file in done.written] == ["test_b.py"]
    assert (project.root / "test_a.py").read_bytes() == b"mine"
    assert sorted(os.listdir(project.root)) == ["test_a.py", "test_b.py"]


def test_a_symbolic_link_that_appears_after_the_plan(project: Project) -> None:
    plan = planned(project, "tests/test_it.py")
    outside = project.root.parent / "outside"
    shutil.move(project.root / "tests", outside)
    (project.root / "tests").symlink_to(outside)
    (one,) = write_fixes(plan, environment=NOWHERE).not_written
    assert one.reason == "tests/test_it.py was changed during the run"
    assert (outside / "test_it.py").read_bytes() == SOURCE


def test_a_read_only_file_is_named(project: Project) -> None:
    """The file could be replaced, because its directory is writable."""
    plan = planned(project, "test_it.py")
    (project.root / "test_it.py").chmod(0o444)
    (one,) = write_fixes(plan, environment=NOWHERE).not_written
    assert one.reason == "test_it.py is read-only"
    assert (project.root / "test_it.py").read_bytes() == SOURCE


def test_a_failure_leaves_all_files_whole(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: some files are written, the others are unchanged, and each is named."""
    plan = planned(project, "test_a.py", "test_b.py", "test_c.py")
    fails = iter([False, True, False])

    def write_half(fd: int, data: bytes) -> None:
        os.write(fd, data[: len(data) // 2])
        if next(fails):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.write(fd, data[len(data) // 2 :])

    monkeypatch.setattr("membudget.source.writing.write_all", write_half)
    monkeypatch.setattr("membudget.source.writing.raised_by_us", lambda error: True)
    done = write_fixes(plan, environment=NOWHERE)
    assert [file.disk.shown for file in done.written] == ["test_a.py", "test_c.py"]
    (one,) = done.not_written
    assert one.reason == "test_b.py cannot be written: No space left on device"
    assert [(project.root / f"test_{x}.py").read_bytes() for x in "abc"] == [FIXED, SOURCE, FIXED]
    assert sorted(os.listdir(project.root)) == ["test_a.py", "test_b.py", "test_c.py"]


def test_a_directory_that_was_removed(project: Project) -> None:
    plan = planned(project, "tests/test_it.py")
    shutil.rmtree(project.root / "tests")
    (one,) = write_fixes(plan, environment=NOWHERE).not_written
    assert one.reason == "tests/test_it.py cannot be written: No such file or directory"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("true", True), ("1", True), ("", False), ("false", False), ("0", False)],
)
def test_ci(project: Project, value: str, expected: bool) -> None:
    """In CI, files are changed only on request."""
    plan = planned(project, "test_it.py")
    environment = {"CI": value}
    assert is_in_ci(environment) == expected
    done = write_fixes(plan, environment=environment)
    assert bool(done.not_written) == expected
    if expected:
        assert "not changed in CI" in done.not_written[0].reason
        assert (project.root / "test_it.py").read_bytes() == SOURCE
        assert write_fixes(plan, environment=environment, even_in_ci=True).written == plan.files
    assert (project.root / "test_it.py").read_bytes() == FIXED


def test_ci_is_read_from_the_original_environment(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test that sets ``CI`` does not change the answer."""
    plan = planned(project, "test_it.py")
    monkeypatch.setitem(os.environ, "CI", "true")
    assert write_fixes(plan).written


@pytest.mark.parametrize(
    ("source", "encoding"),
    [
        (SOURCE, "utf-8"),
        (b"\xef\xbb\xbf" + SOURCE, "utf-8"),
        (SOURCE.replace(b"\n", b"\r\n"), "utf-8"),
        (b"# coding: latin-1\n# \xe4\n" + SOURCE[:-1], "latin-1"),
        (
            b"# x\n" * 50 + SOURCE + b"# y\n" * 50 + SOURCE.replace(b"test_it", b"test_2")[:-1],
            "utf-8",
        ),
    ],
)
def test_the_diff_can_be_applied(project: Project, source: bytes, encoding: str) -> None:
    """It shows all changes: git applies it and makes the same files."""
    project.write("test_it.py", source)
    uses = {**OVER, "test_2": Use(limit=5 * MB)} if b"test_2" in source else OVER
    plan = project.plan("test_it.py", uses)
    (file,) = plan.files
    patch = project.root.parent / "patch"
    patch.write_bytes(diff(plan).encode(encoding))
    assert diff(plan).startswith("--- a/test_it.py\n+++ b/test_it.py\n@@ ")
    subprocess.run(["git", "apply", str(patch)], cwd=project.root, check=True)
    assert (project.root / "test_it.py").read_bytes() == file.new


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("'12 MB', total='9 MB'", "test_it.py would change in other ways as well"),
        ("'12 MB", "test_it.py would be broken: "),
        ("'13 MB'", "test_it.py would change in other ways as well"),
    ],
)
def test_changes_that_would_break_a_file_are_not_written(
    project: Project, monkeypatch: pytest.MonkeyPatch, number: str, reason: str
) -> None:
    """Whatever is wrong with an edit, the program must stay the same."""

    def wrong(source: SourceText, node: ast.expr, *_: object) -> tuple[Edit, str]:
        return replace(source.segment(node), new=number), "12 MB"

    project.write("test_it.py", SOURCE)
    monkeypatch.setattr("membudget.source.changes.with_number", wrong)
    plan = project.plan("test_it.py", OVER)
    assert plan.files == ()
    (one,) = plan.unchanged
    assert one.wanted
    assert one.reason.startswith(reason)
