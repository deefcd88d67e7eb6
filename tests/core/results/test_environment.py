"""What a run file says of where and how it was measured."""

from __future__ import annotations

import os
import platform
import sys
import time
from datetime import datetime
from importlib import metadata
from pathlib import Path

import pytest
from conftest import RunPython, in_subprocess
from membudget.results import Environment
from membudget.runs import Settings


def test_what_is_known_of_this_process(tmp_path: Path) -> None:
    started = time.time() - 5
    settings = Settings(memray=True, memray_default_limit=1024, memray_include=("setup", "call"))
    found = Environment.here(
        settings,
        root=str(tmp_path) + os.sep,
        workers=2,
        shard="1/3",
        started=started,
        environment={"GITHUB_SHA": "8f3c", "GITHUB_REF_NAME": "main"},
    )
    assert found.python == platform.python_version()
    assert (found.platform, found.machine) == (sys.platform, platform.machine())
    assert found.memray == metadata.version("memray")
    assert found.membudget == metadata.version("membudget")
    assert (found.commit, found.branch, found.root) == ("8f3c", "main", str(tmp_path))
    assert (found.workers, found.shard) == (2, "1/3")
    assert datetime.fromisoformat(found.started_at).timestamp() == pytest.approx(started, abs=1e-5)
    assert found.started == pytest.approx(started, abs=1e-5)
    assert 5 <= found.duration_seconds < 60
    values = dict(found.settings)
    assert values["memray"] == "true"
    assert values["memray_stable"] == "false"
    assert values["memray_default_limit"] == "1024"
    assert values["memray_include"] == "setup,call"
    assert "memray_json" not in values  # it has no value


def test_what_is_not_known_is_empty() -> None:
    found = Environment.here(environment={})
    assert found.settings == ()
    assert found.root == os.getcwd()
    assert Environment().started == 0


@pytest.mark.parametrize(
    ("variables", "reader"),
    [
        ({"MEMBUDGET_READER": "replay"}, "replay"),
        ({"MEMBUDGET_READER": "fast"}, ""),
        ({"MEMBUDGET": "off"}, ""),
    ],
)
def test_the_reader_is_named(variables: dict[str, str], reader: str, run_python: RunPython) -> None:
    program = "from membudget.results import Environment; print(Environment.here().reader)"
    done = run_python("-c", program, environment=variables)
    assert done.stdout == f"{reader}\n", done.stderr


@in_subprocess
def test_libraries_that_were_made_visible_are_named() -> None:
    import os

    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    from membudget.results import Environment

    assert Environment.here().made_visible == ()
    import pyarrow  # noqa: F401

    assert Environment.here().made_visible == ("pyarrow",)
