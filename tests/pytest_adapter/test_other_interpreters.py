"""Workers of pytest-xdist that are reached through a socket, or run in another interpreter."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from membudget.recording.readers.scanner import scanner_problem
from membudget.results import read_run
from running import Pytest

PLUGINS = "-p membudget -p xdist"
KEEPS = scanner_problem() is None  # captures can be kept
TESTS = """
import pytest
@pytest.mark.limit_memory("1 MB")
def test_over(): held = bytearray(5_000_000)
@pytest.mark.parametrize("n", range(5))
@pytest.mark.limit_memory("9 MB")
def test_within(n): held = bytearray(1_000_000 * (n + 1))
"""


@pytest.fixture
def address() -> Iterator[str]:
    """The address of a server of execnet on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "execnet.script.socketserver", address],
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": PLUGINS},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    assert "Accept loop" in server.stdout.readline()
    yield address
    server.kill()
    server.wait()
    server.stdout.close()


@pytest.fixture
def runner(tmp_path: Path) -> Pytest:
    project = tmp_path / "project"
    (project / "tests").mkdir(parents=True)
    (project / "pytest.ini").write_text("[pytest]\n")
    (project / "tests" / "test_it.py").write_text(TESTS)
    return Pytest(project)


def test_a_worker_on_another_machine(runner: Pytest, address: str, tmp_path: Path) -> None:
    """Its figures and its failures are complete, and the report says where its captures are."""
    elsewhere = tmp_path / "elsewhere"
    tests = str(runner.directory / "tests")
    keep = ("--memray-bin-path=kept", "--memray-bin-prefix=p") if KEEPS else ()
    workers = ("-d", f"--tx=socket={address}//chdir={elsewhere}", "--tx=popen")
    options = ("--memray", "--memray-json=run.json", *keep, *workers, f"--rsyncdir={tests}", tests)
    ran = runner.run(*options)
    ran.counts(failed=1, passed=5)
    assert "Test was limited to 1.0MiB but allocated 4.8MiB" in ran.stdout
    run = read_run(str(runner.directory / "run.json"))
    peaks = {result.name: result.measurement.peak_bytes // 1_000_000 for result in run.results}
    of_within = {f"tests/test_it.py::test_within[{n}]": n + 1 for n in range(5)}
    assert peaks == {"tests/test_it.py::test_over": 5, **of_within}
    assert {result.worker for result in run.results} == {"gw0", "gw1"}
    if KEEPS:
        assert f"Captures of worker gw0: {elsewhere}/kept/p-*.bin" in ran.stdout
        kept = [*elsewhere.glob("kept/p-*.bin"), *runner.directory.glob("kept/p-*.bin")]
        assert len(kept) == 6


def test_a_worker_with_another_version_is_refused(runner: Pytest, tmp_path: Path) -> None:
    other = tmp_path / "other" / "membudget-9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: membudget\nVersion: 9.9\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={other.parent} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    ran = runner.run("--memray", "-d", f"--tx=popen//python={python}", "tests")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    said = ran.stdout + ran.stderr
    assert re.search(r"the worker gw0 \(.*\) has membudget 9\.9, but this process has", said), said
    assert "install the same version in both" in said
