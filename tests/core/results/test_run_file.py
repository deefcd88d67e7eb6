"""Run files: written and read back, by the schema, and never in the place of another run's."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_runs
import pytest
from conftest import RunPython, run_python_in
from hypothesis import given
from jsonschema import Draft202012Validator
from membudget import Allocation, Frame, LeakedObjects, Measurement, Result, Unseen
from membudget.budget import Budget, LeakLimit, Limit, ObjectLimit, Scope
from membudget.results import (
    SCHEMA,
    Environment,
    NotReplacedWarning,
    RunFile,
    RunFileError,
    read_run,
    write_run,
)
from membudget.results.writing import run_lines
from membudget.sites import library_of
from membudget.testing import make_measurement, make_result
from membudget.verdict import Verdict, judge

SCHEMA_DATA = json.loads(SCHEMA.read_text())
VALIDATOR = Draft202012Validator(SCHEMA_DATA)
FORMAT_1 = Path(__file__).parent / "data/format-1.json"


def check(data: Any) -> None:
    """Check data by the schema, and that the schema describes each of its keys."""
    VALIDATOR.validate(data)
    assert list(undescribed(data, SCHEMA_DATA)) == []


def undescribed(data: Any, schema: Any, where: str = "") -> Iterator[str]:
    """Yield the keys in data that a schema does not describe."""
    schema = SCHEMA_DATA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if "anyOf" in schema:
        yield from undescribed(data, schema["anyOf"][0], where)
    elif isinstance(data, dict):
        for key, value in data.items():
            of_key = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            if of_key is None:
                yield f"{where}.{key}"
            else:
                yield from undescribed(value, of_key, f"{where}.{key}")
    elif isinstance(data, list):
        for one in data:
            yield from undescribed(one, schema["items"], f"{where}[]")


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA_DATA)
    assert SCHEMA_DATA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@given(made_runs.runs)
def test_every_run_comes_back_as_it_was(run: RunFile) -> None:
    """Whatever is in it: nothing is lost, and the schema describes all of it."""
    with tempfile.TemporaryDirectory() as directory:
        path = write_run(f"{directory}/run.json", run)
        assert read_run(path) == run
        # Where limits are written does not count when they are compared.
        assert run_to_text(read_run(path)) == run_to_text(run)
        check(json.loads(Path(path).read_text()))


SUITE = """
import pytest
from membudget.testing import make_measurement

@pytest.mark.limit_memory("1 KB", total="1 MB")
def test_over():
    kept.append(bytearray(100_000))

@pytest.mark.limit_leaks("1 KB")
def test_leaks():
    kept.append(bytearray(100_000))

def test_free():
    pass

kept = []
"""


def test_a_run_of_pytest_writes_what_the_schema_describes(
    run_python: RunPython, tmp_path: Path
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_it.py").write_text(SUITE)
    command = ("-m", "pytest", "-p", "no:cacheprovider", "--memray", "--memray-json=run.json")
    done = run_python(*command, "--memray-include=setup,call")
    data = json.loads((tmp_path / "run.json").read_text())
    check(data)
    assert "2 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    run = read_run(str(tmp_path / "run.json"))
    assert run.environment.root == str(tmp_path)
    assert run.environment.memray
    assert run.environment.duration_seconds > 0
    over = run.results[0]
    assert not over.verdict.within
    assert over.measurement.allocations[0].stack[0].filename == "tests/test_it.py"


def test_paths_below_the_root_are_relative(tmp_path: Path) -> None:
    """Runs on two machines can be compared, and memory of libraries is still found."""
    root, elsewhere = tmp_path / "project", tmp_path / "project-2/lib.py"
    files = (f"{root}/pkg/a.py", str(elsewhere), "<frozen importlib._bootstrap>")
    stack = tuple(Frame("f", file, 1) for file in files)
    objects = LeakedObjects("a.Thing", 1, stack, f"{root}/pkg is not a path here")
    measurement = replace(
        make_measurement(5), allocations=(Allocation(5, 1, stack),), leaked_objects=(objects,)
    )
    limit = Limit("peak_bytes", 1, f"{root}/tests/test_a.py:3")
    verdict = judge(measurement, Budget((limit,)))
    result = Result("test", measurement, verdict, file=f"{root}/tests/test_a.py", line=4)
    run = RunFile(Environment(root=str(root)), (result,))
    read = read_run(write_run(str(tmp_path / "run.json"), run)).results[0]
    names = ["pkg/a.py", *files[1:]]
    assert [frame.filename for frame in read.measurement.allocations[0].stack] == names
    assert [frame.filename for frame in read.verdict.leaked_objects[0].stack] == names
    assert read.measurement.leaked_objects[0].example == objects.example
    assert read.file == "tests/test_a.py"
    assert read.verdict.excesses[0].limit.origin == "tests/test_a.py:3"


def test_paths_of_installed_files_say_nothing_about_the_machine(tmp_path: Path) -> None:
    """Stacks of two machines are equal, wherever Python and the project are."""
    written: list[str] = []
    for python, root in (("/usr", "/home/me/project"), ("/ci/project/.venv", "/ci/project")):
        lib = f"{python}/lib/python3.13"
        files = (f"{lib}/site-packages/pandas/io.py", f"{lib}/json/decoder.py", f"{root}/app.py")
        stack = tuple(Frame("f", file, 1) for file in files)
        measurement = replace(make_measurement(5), allocations=(Allocation(5, 1, stack),))
        verdict = Verdict(Budget(), capture=f"{root}/site-packages/a.bin")
        result = Result("t", measurement, verdict, file=files[0], line=1)
        path = str(tmp_path / f"{len(written)}.json")
        written.append(write_run(path, RunFile(Environment(root=root), (result,))))
    here, there = map(read_run, written)
    assert here.results == there.results
    (allocation,) = here.results[0].measurement.allocations
    names = ["site-packages/pandas/io.py", "lib/python3.13/json/decoder.py", "app.py"]
    assert [frame.filename for frame in allocation.stack] == names
    assert [library_of(frame) for frame in allocation.stack] == ["pandas", "json", ""]
    assert here.results[0].file == names[0]
    # A capture is opened, so it is where it is.
    assert here.results[0].verdict.capture == "site-packages/a.bin"


def test_origins_are_relative_to_the_root_wherever_the_run_began(tmp_path: Path) -> None:
    """pytest started in tests/ names a place as ``test_a.py:3``."""
    program = (
        "from membudget.results import *; from membudget.testing import *; "
        "from membudget import *; "
        "measured = make_measurement(5); "
        "places = ('test_a.py:3', 'the command line, --memray-default-limit'); "
        "budgets = [Budget((Limit('peak_bytes', 1, place),)) for place in places]; "
        "results = tuple(Result('t', measured, judge(measured, one)) for one in budgets); "
        "write_run('run.json', RunFile(Environment.here(root='..'), results), ends_now=True)"
    )
    (tmp_path / "tests").mkdir()
    done = run_python_in(tmp_path / "tests", "-c", program)
    assert done.returncode == 0, done.stderr
    run = read_run(str(tmp_path / "tests/run.json"))
    # Written once more, by a process that started elsewhere below the root: they stay.
    again = str(tmp_path / "again.json")
    write_run(again, replace(run, environment=Environment(root=os.sep)))
    for read in (run, read_run(again)):
        assert [one.verdict.budget.limits[0].origin for one in read.results] == [
            "tests/test_a.py:3",
            "the command line, --memray-default-limit",
        ]


def test_format_1_is_read() -> None:
    """Files that earlier versions have written; their environment is not known."""
    frames = (Frame("load", "/w/app.py", 7), Frame("main", "/w/app.py", 20))
    over = replace(
        make_measurement(100, 20),
        retained=(Allocation(120, 2, frames, 3, 4, 5),),
        leaked_objects=(LeakedObjects("app.Thing", 2, frames[:1], "<Thing>"),),
        unmatched=("only='x'",),
        unseen=(Unseen("pyarrow", None), Unseen("", 50)),
    )
    budget = Budget(
        (Limit("peak_bytes", 50, "test_it.py:3"),),
        Scope(True, ("app",), (), ("setup", "call"), True),
        LeakLimit(10, origin="test_it.py:4"),
        ObjectLimit(origin="test_it.py:5"),
    )
    nothing = make_measurement()
    assert read_run(str(FORMAT_1)) == RunFile(
        Environment(),
        (
            Result("test_over", over, judge(over, budget), (("setup", make_measurement(1)),)),
            Result("test_free", nothing, judge(nothing, Budget())),
        ),
    )
    limit = read_run(str(FORMAT_1)).results[0].verdict.budget.limits[0]
    assert limit.origin == "test_it.py:3"


BROKEN = [
    ("", "run.json: this is not JSON: "),
    ("\xff", "run.json: this is not JSON: "),
    ("[" * 100_000, "run.json: this is not JSON: "),
    ("[]", "run.json: this is not a run file: it has no 'format'"),
    ('{"format": 3}', "it has format 3, but this membudget reads only formats 1 and 2"),
    ('{"format": true}', "results: there is no array of results"),
    ('{"format": 2}', "results: there is no array of results"),
    ('{"format": 2, "results": [7]}', "run.json: results[0]: 7 is not an object"),
    ('{"format": 2, "results": [], "environment": {"python": 3}}', "environment.python: 3 is not"),
    ('{"format": 1, "results": [7]}', "run.json: results[0]: this is not a result of format 1"),
    ('{"format": 1, "results": [{}]}', "run.json: results[0]: there is no 'budget'"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_what_cannot_be_read_is_one_error(text: str, message: str, tmp_path: Path) -> None:
    """It names the file, the place in it, and what was found."""
    (tmp_path / "run.json").write_text(text, encoding="latin-1")
    with pytest.raises(RunFileError) as caught:
        read_run(str(tmp_path / "run.json"))
    assert message in str(caught.value)


def test_later_versions_of_the_format_are_read(tmp_path: Path) -> None:
    run = RunFile(Environment(python="3.13.1"), (make_result("test", make_measurement(5)),))
    data = json.loads(run_to_text(run))
    data["later"] = data["environment"]["later"] = data["results"][0]["measurement"]["later"] = 1
    (tmp_path / "run.json").write_text(json.dumps(data))
    assert read_run(str(tmp_path / "run.json")) == run


def run_to_text(run: RunFile) -> str:
    return "".join(run_lines(run))


def run_named(name: str, started: float | None = None) -> RunFile:
    return RunFile(Environment.here(started=started), (make_result(name, Measurement(1, 1, 1, 0)),))


def names_in(path: str | Path) -> list[str]:
    return [result.name for result in read_run(str(path)).results]


def test_a_file_that_another_run_has_written_meanwhile_stays(tmp_path: Path) -> None:
    """The later of two runs that write one path writes beside it, and says so."""
    path = tmp_path / "run.json"
    first, second, third = (run_named(name, started=float(n)) for n, name in enumerate("abc", 1))
    assert write_run(str(path), first, ends_now=True) == str(path)
    for run, beside in ((second, "run-2.json"), (third, "run-3.json")):
        with pytest.warns(NotReplacedWarning, match=f"results of this run are in .*{beside}$"):
            written = write_run(str(path), run, ends_now=True)
        assert written == str(tmp_path / beside)
        assert names_in(written) == [run.results[0].name]
    assert names_in(path) == ["a"]


def test_a_run_replaces_older_files_and_its_own(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    for old in ("{}", run_to_text(run_named("old", started=1.0))):
        path.write_text(old)
        os.utime(path, (1000, 1000))
        run = run_named("new", started=2000.0)
        assert write_run(str(path), run, ends_now=True) == str(path)
        again = replace(run, results=run.results * 2)
        assert write_run(str(path), again, ends_now=True) == str(path)
        assert names_in(path) == ["new", "new"]
    assert sorted(os.listdir(tmp_path)) == ["run.json"]
    # Without a run of its own, as when files are merged, a file is replaced.
    assert write_run(str(path), run_named("merged", started=1.0)) == str(path)
    assert names_in(path) == ["merged"]


def test_what_is_no_run_file_stays_too(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    path.write_text("mine")
    with pytest.warns(NotReplacedWarning):
        written = write_run(str(path), run_named("a", started=1.0), ends_now=True)
    assert (path.read_text(), names_in(written)) == ("mine", ["a"])


WRITER = """
import sys, warnings
from membudget.results import Environment, NotReplacedWarning, RunFile, write_run
from membudget.testing import make_measurement, make_result
warnings.simplefilter("ignore", NotReplacedWarning)
number = sys.argv[1]
run = RunFile(
    Environment.here(started=1000.0 + int(number)),
    (make_result(f"test_{number}", make_measurement(*[1] * 2000)),),
)
print("ready", flush=True)
sys.stdin.readline()
write_run("run.json", run, ends_now=True)
"""


def test_runs_that_end_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(number)],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    with contextlib.ExitStack() as running:
        for writer in writers:
            running.enter_context(writer)
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("\n")
            writer.stdin.flush()
    assert [writer.returncode for writer in writers] == [0] * 8
    found = sorted(name for file in tmp_path.iterdir() for name in names_in(file))
    assert found == [f"test_{number}" for number in range(8)]


@pytest.mark.parametrize("filters", ["default", "error"])
def test_a_run_of_pytest_says_where_its_results_are(
    filters: str, run_python: RunPython, tmp_path: Path
) -> None:
    """A filter that makes an error of it would hide the failures of the run."""
    (tmp_path / "test_it.py").write_text(
        "from membudget.results import Environment, RunFile, write_run\n"
        "def test_it():\n"
        "    write_run('run.json', RunFile(Environment(started_at='2026-01-01'), ()))\n"
    )
    command = ("-m", "pytest", "-p", "no:cacheprovider", "--memray", "--memray-json=run.json")
    done = run_python("-W", filters, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "another run has written this file since this run began" in done.stderr
    assert names_in(tmp_path / "run.json") == []
    assert names_in(tmp_path / "run-2.json") == ["test_it.py::test_it"]


def test_devices_are_written_to() -> None:
    """``--memray-json=/dev/stdout`` goes on to whoever reads it."""
    assert write_run("/dev/null", RunFile(Environment(), ()), ends_now=True) == "/dev/null"


def test_reading_leaves_the_garbage_collector_as_it_was(tmp_path: Path) -> None:
    path = write_run(str(tmp_path / "run.json"), RunFile(Environment(), ()))
    (tmp_path / "bad.json").write_text("{")
    assert gc.isenabled()
    read_run(path)
    with pytest.raises(RunFileError):
        read_run(str(tmp_path / "bad.json"))
    assert gc.isenabled()
    gc.disable()
    try:
        read_run(path)
        assert not gc.isenabled()
    finally:
        gc.enable()
