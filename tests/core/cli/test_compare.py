"""``membudget compare`` shows what changed, and fails on request."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import RunPython
from membudget.__main__ import main
from membudget.results import Environment, RunFile, write_run
from membudget.testing import make_measurement, make_result

KB = 1024


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """An older run and a newer one, whose peak grew from 1 MB by 100 KB."""
    return [
        write_run(
            f"{tmp_path}/{size}.json",
            RunFile(Environment(), (make_result("test_load", make_measurement(size * KB)),)),
        )
        for size in (1024, 1124)
    ]


def test_what_grew_is_shown(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *runs, "--tolerance=1%"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "test          old     new  change",
        "test_load  1.0MiB  1.1MiB  grew by 100.0KiB (10%)",
        "\t- grew: load:app.py:7 -> 1.0MiB to 1.1MiB",
        "1 figure compared: 1 grew; tolerance 1%",
    ]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((), 0),
        (("--tolerance=0",), 1),
        (("--tolerance", "5% + 40 KB"), 1),
        (("--tolerance", "5% + 100 KB"), 0),
    ],
)
def test_an_increase_fails_on_request(
    runs: list[str], arguments: tuple[str, ...], status: int
) -> None:
    """10% + 64 KB are tolerated without another word."""
    assert main(["compare", *runs, *arguments, "--fail-on-increase"]) == status
    assert main(["compare", *runs, *arguments]) == 0
    assert main(["compare", *reversed(runs), *arguments, "--fail-on-increase"]) == 0


def test_a_wrong_tolerance_is_an_error(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *runs, "--tolerance=much"]) == 2
    assert "membudget: --tolerance: 'much' is not a tolerance" in capsys.readouterr().err


SUITE = """
def load():
    return bytearray(N)

def test_load():
    load()
"""


def test_two_runs_of_pytest(run_python: RunPython, tmp_path: Path) -> None:
    """From the measurement to the line that grew."""
    for number, size in enumerate(("100_000", "1_000_000"), 1):
        (tmp_path / "test_it.py").write_text("\n" * number + SUITE.replace("N", size))
        command = ("-m", "pytest", "-p", "no:cacheprovider", "--memray")
        done = run_python(*command, f"--memray-json={number}.json")
        assert done.returncode == 0, done.stdout
    done = run_python("-m", "membudget", "compare", "1.json", "2.json", "--fail-on-increase")
    assert done.returncode == 1, done.stderr
    assert "test_it.py::test_load" in done.stdout
    assert "\t- grew: load:test_it.py:5 -> 97.7KiB to 976.6KiB" in done.stdout
    assert "\t    called by test_load:test_it.py:8" in done.stdout
