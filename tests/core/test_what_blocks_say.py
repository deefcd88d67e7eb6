"""The repr of a block, and its missing figures."""

from __future__ import annotations

from pathlib import Path

from conftest import RunPython, in_subprocess


@in_subprocess
def test_repr_shows_the_figures() -> None:
    """What a debugger or a REPL shows of `memory`."""
    from membudget import limit_memory, measure_memory
    from workloads import KIB, allocate, make_headroom

    make_headroom()
    with limit_memory("24 MB", allocations=5000) as memory:
        allocate(100 * KIB)
        assert repr(memory) == "<limit_memory peak 24.0MiB, 5,000 allocations: not ended>"
    assert repr(memory) == (
        "<limit_memory peak 24.0MiB, 5,000 allocations: peak 100.0KiB, total 100.0KiB, "
        "1 allocations, retained 0.0B>"
    )
    assert repr(measure_memory()) == "<measure_memory no limit: not measured>"


@in_subprocess
def test_a_figure_that_was_not_measured_is_a_missing_attribute() -> None:
    """hasattr, inspect.getmembers and mocks read all of them."""
    import inspect
    import pickle
    from unittest import mock

    from membudget import NotMeasuredError, measure_memory

    memory = measure_memory()
    assert not hasattr(memory, "peak_bytes")
    assert getattr(memory, "total_bytes", None) is None
    assert "budget" in dict(inspect.getmembers(memory))
    mock.create_autospec(memory)
    mock.Mock(spec=memory)
    try:
        memory.peak_bytes  # noqa: B018
    except NotMeasuredError as error:
        assert isinstance(error, RuntimeError)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    else:
        raise AssertionError
    with memory:
        pass
    assert hasattr(memory, "peak_bytes")


def test_the_warning_about_a_capture_that_was_not_kept_points_at_the_block(
    run_python: RunPython, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(
        "from membudget import Budget\nfrom membudget.runs import Block\n\n"
        "with Block(Budget(), keep_capture='/nonexistent/capture.bin'):\n    pass\n"
    )
    done = run_python("-W", "default", "program.py")
    assert "program.py:4: NotKeptWarning: /nonexistent/capture.bin was not kept" in done.stderr
