"""Run files of any size: what is not needed of them is never in memory."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import in_subprocess
from membudget import Limit, limit_memory
from membudget.budget import Budget
from membudget.results import (
    Environment,
    IncomparableRunsError,
    RunFile,
    RunFileError,
    compare_runs,
    differences,
    merge_runs,
    read_run,
    write_run,
)
from membudget.results.comparing import compare_files
from membudget.results.merging import merge_files
from membudget.source.definitions import Definition, WrittenTest
from membudget.source.sources import Sources
from membudget.testing import make_measurement, make_result
from membudget.verdict import judge


def large_run(n_results: int, more_bytes: int = 0) -> RunFile:
    """Return a run in which each test has a limit, and the third of each four has stacks."""
    results = []
    tests = []
    for number in range(n_results):
        file = f"tests/test_{number // 50}.py"
        size = 1_000 + number + more_bytes * (number % 4 == 2)
        measurement = make_measurement(size, *[1] * 20)
        if number % 4 != 2:
            measurement = replace(measurement, allocations=())
        limit = Limit("total_bytes", 10**6, f"{file}:{number % 50}")
        result = make_result(f"{file}::TestThings::test_{number}", measurement)
        results.append(replace(result, verdict=judge(measurement, Budget((limit,))), file=file))
        where = Definition(f"/project/{file}", f"TestThings.test_{number}", number)
        tests.append((result.name, WrittenTest(where, None, (where,), f"/project/{file}")))
    environment = Environment(python="3.13.1", root="/project")
    return RunFile(environment, tuple(results), Sources(tuple(tests)))


@in_subprocess
def test_large_files_take_little_memory() -> None:
    """Each limit is less than half of what it takes to have all of the data at once."""
    run = large_run(2_000)
    for path, written in (("run.json", run), ("other.json", large_run(2_000, more_bytes=50))):
        with limit_memory("0.7 MB", stable=True):
            write_run(path, written)
    assert Path("run.json").stat().st_size > 2_300_000
    del run, written
    with limit_memory("4 MB", stable=True):
        compare_files("run.json", "other.json")
    with limit_memory("7 MB", stable=True):
        merge_files(["run.json", "other.json"], "merged.json")
    with limit_memory("5.5 MB", stable=True):
        read_run("run.json")


def rewritten(path: Path, layout: str) -> str:
    """Write a run file once more, as a formatter does."""
    data = json.loads(path.read_text())
    if layout == "backwards":
        data = dict(reversed(data.items()))
    indent = 4 if layout == "indented" else None
    other = path.with_name(f"{layout}-{path.name}")
    other.write_text(json.dumps(data, indent=indent, sort_keys=layout == "sorted"))
    return str(other)


def in_any_order(run: RunFile) -> tuple[object, ...]:
    """Return what is in a run; a formatter may sort the tests in its sources."""
    assert run.sources is not None
    sources = run.sources
    return run.environment, run.results, dict(sources.tests), replace(sources, tests=())


@pytest.mark.parametrize("layout", ["indented", "sorted", "backwards"])
def test_files_of_every_layout_are_compared_and_merged_like_runs(
    layout: str, tmp_path: Path
) -> None:
    old = write_run(str(tmp_path / "old.json"), large_run(300))
    new = write_run(str(tmp_path / "new.json"), large_run(310, more_bytes=50))
    runs = [read_run(old), read_run(new)]
    other_old, other_new = rewritten(Path(old), layout), rewritten(Path(new), layout)
    assert [in_any_order(read_run(path)) for path in (other_old, other_new)] == [
        in_any_order(run) for run in runs
    ]
    changes = compare_runs(runs[0], runs[1])
    assert {one.change for one in changes} == {"same", "grew", "new"}
    assert any(one.stacks for one in changes)
    merged = merge_runs(runs)
    output = str(tmp_path / "merged.json")
    for files in ((old, new), (other_old, other_new)):
        assert compare_files(files[0], files[1]) == (changes, [])
        assert merge_files(files, output) == 310
        assert in_any_order(read_run(output)) == in_any_order(merged)


def test_a_merge_keeps_what_it_does_not_know(tmp_path: Path) -> None:
    """A later version may add keys to a result."""
    path = Path(write_run(str(tmp_path / "run.json"), large_run(3)))
    data = json.loads(path.read_text())
    data["results"][1]["later"] = [1, "ü", "\ud800"]
    path.write_text(json.dumps(data, ensure_ascii=False), errors="surrogatepass")
    merge_files([str(path)], str(tmp_path / "merged.json"))
    assert json.loads((tmp_path / "merged.json").read_bytes()) == data


def test_files_of_format_1_are_compared_and_merged(tmp_path: Path) -> None:
    old = str(Path(__file__).parent / "data/format-1.json")
    new = write_run(str(tmp_path / "new.json"), read_run(old))
    changes, problems = compare_files(old, new)
    assert (changes, problems) == (compare_runs(read_run(old), read_run(new)), [])
    merge_files([old, new], str(tmp_path / "merged.json"))
    assert read_run(str(tmp_path / "merged.json")) == read_run(old)


def test_runs_of_different_kinds_are_named(tmp_path: Path) -> None:
    versions = ("3.12.1", "3.13.1")
    runs = [RunFile(Environment(python=one), ()) for one in versions]
    paths = [write_run(str(tmp_path / f"{run.environment.python}.json"), run) for run in runs]
    assert compare_files(paths[0], paths[1])[1] == differences([run.environment for run in runs])
    with pytest.raises(IncomparableRunsError):
        merge_files(paths, str(tmp_path / "merged.json"))
    assert not (tmp_path / "merged.json").exists()
    assert merge_files(paths, str(tmp_path / "merged.json"), force=True) == 0


BROKEN = [
    ('{"format": 2, "results": [{"name": "a"}]}', "results[0]: there is no 'measurement'"),
    ('{"format": 2, "results": [', "this is not JSON: Expecting value, at character 26"),
    ('{"format": 2, "results": []} x', "this is not JSON: Extra data, at character 29"),
]


@pytest.mark.parametrize(("text", "problem"), BROKEN)
def test_what_cannot_be_read_is_named(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    for call in (
        lambda: compare_files(str(path), str(path)),
        lambda: merge_files([str(path)], str(tmp_path / "merged.json")),
        lambda: read_run(str(path)),
    ):
        with pytest.raises(RunFileError) as caught:
            call()
        assert str(caught.value) == f"{path}: {problem}"
    assert not (tmp_path / "merged.json").exists()
