"""From no limits to limits that hold, in a project that knows nothing of membudget.

It is downloaded as its source distribution, and its tests run many times: only where
``MEMBUDGET_TEST_PROJECTS`` is set.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from running import Pytest

pytestmark = pytest.mark.skipif(
    not os.environ.get("MEMBUDGET_TEST_PROJECTS"),
    reason="downloads a project: set MEMBUDGET_TEST_PROJECTS=1",
)

PROJECT = "tabulate==0.10.0"
TESTS = ("test/test_output.py", "test/test_input.py")
GREEN = ("-q", "--memray", "--memray-stable", "--hide-memray-summary", *TESTS)
REGRESSION = "    leftovers = [bytearray(1000) for _ in range(1000)]\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the project, as downloaded."""
    directory = tmp_path_factory.mktemp("project")
    subprocess.run([sys.executable, "-m", "venv", "venv"], cwd=directory, check=True)
    subprocess.run(
        ["venv/bin/pip", "download", "--no-deps", "--no-binary", ":all:", PROJECT],
        cwd=directory,
        check=True,
    )
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(directory, filter="data")
    return directory / archive.name.removesuffix(".tar.gz")


def test_from_no_limits_to_a_regression_that_is_named(project: Path) -> None:
    """All tests get limits, which hold in any order and in any process, and find what is new."""
    runner = Pytest(project)
    here = {"PYTHONPATH": "."}
    runner.plugins = ["membudget", "xdist", "no:randomly"]
    ran = runner.run(*GREEN, "--memray-fix=add", **here)
    n_written = int(re.findall(r"Wrote (\d+) limits into 2 files, all of them new", ran.stdout)[0])
    assert n_written > 200
    assert ran.lines[-1].startswith(f"{n_written} passed")
    assert runner.run(*GREEN, "-n", "2", **here).returncode == 0
    runner.plugins[-1] = "randomly"
    for seed in range(5):
        ran = runner.run(*GREEN, f"--randomly-seed={seed}", **here)
        assert ran.returncode == 0, ran.stdout[-5000:]

    module = project / "tabulate/__init__.py"
    source = module.read_text()
    first_line = "    if tabular_data is None:\n        tabular_data = []\n"
    assert source.count(first_line) == 1
    module.write_text(source.replace(first_line, REGRESSION + first_line))
    ran = runner.run("-v", *GREEN, **here)  # with -q alone, failures list no allocations
    assert ran.returncode == 1
    assert len(re.findall(r"^MEMORY PROBLEMS", ran.stdout, re.MULTILINE)) > 100
    assert re.search(r"tabulate/__init__\.py:\d+ -> 1\.0MiB", ran.stdout)
