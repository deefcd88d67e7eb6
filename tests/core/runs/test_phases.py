"""One block over the phases of a test."""

from __future__ import annotations

from conftest import in_subprocess


@in_subprocess
def test_memory_between_phases_does_not_count() -> None:
    """Memory from the setup is alive in the call; work of the runner in between does not count."""
    from membudget import Measurement
    from membudget.runs import Block, PhasedBlock, memory_budget
    from memray._test import MemoryAllocator
    from workloads import KIB, allocate, make_headroom

    make_headroom()
    told: list[Measurement] = []
    budget = memory_budget("1 MB", include="setup,call,teardown")
    test = PhasedBlock(Block(budget, on_measured=lambda measured, *_: told.append(measured)))
    fixture, runners = MemoryAllocator(), MemoryAllocator()
    with test.phase("setup", counts=False):
        allocate(9000 * KIB)
        with test.counting(True):
            fixture.malloc(200 * KIB)
            with test.counting(False):
                allocate(9000 * KIB)
            allocate(100 * KIB)
    runners.malloc(9000 * KIB)
    with test.phase("call"):
        allocate(50 * KIB)
    assert not told
    with test.phase("teardown"):
        fixture.free()
        runners.free()
        allocate(250 * KIB)
    (measured,) = told
    # With CPython 3.11, functions that run on the way to a phase can keep a line table.
    assert 300 * KIB <= measured.peak_bytes < 303 * KIB, measured
    assert 600 * KIB <= measured.total_bytes < 603 * KIB, measured
    for phase, peak in (("setup", 300 * KIB), ("call", 50 * KIB), ("teardown", 250 * KIB)):
        assert peak <= test.measured[phase].peak_bytes < peak + 3 * KIB, test.measured  # type: ignore[index]


@in_subprocess
def test_the_verdict_comes_after_the_last_phase() -> None:
    """In that phase; as a note if something else is raised; nowhere if it is not reached."""
    import warnings

    from membudget import MemoryLimitExceeded, MisuseError, NotRaisedWarning
    from membudget.recording.recorder import get_recorder
    from membudget.runs import Block, PhasedBlock, memory_budget
    from workloads import KIB, allocate, make_headroom

    make_headroom()

    def new(include: str) -> PhasedBlock:
        return PhasedBlock(Block(memory_budget("10 KB", include=include)))

    test = new("setup,call")
    with test.phase("setup"):
        allocate(20 * KIB)
    try:
        with test.phase("call"):
            pass
    except MemoryLimitExceeded as error:
        assert 20 * KIB <= error.measurement.peak_bytes < 23 * KIB
    else:
        raise AssertionError
    with test.phase("teardown"):
        allocate(20 * KIB)

    warnings.simplefilter("ignore", NotRaisedWarning)  # that the note may not be shown
    test = new("setup,call")
    with test.phase("setup"):
        allocate(20 * KIB)
    try:
        with test.phase("call"):
            raise LookupError("its own")
    except LookupError as error:
        assert "limited to 10.0KiB" in error.__notes__[0]

    test = new("setup,call,teardown")
    try:
        with test.phase("setup"):
            allocate(20 * KIB)
            raise LookupError("its own")
    except LookupError:
        pass
    try:
        with test.phase("teardown"):  # there is no call then
            pass
    except MemoryLimitExceeded:
        pass
    else:
        raise AssertionError

    test = new("setup,call")
    with test.phase("setup"):
        allocate(20 * KIB)
    test.abandon()
    test.abandon()

    test = new("setup,call")
    try:
        with test.phase("call"):
            pass
    except MisuseError as error:
        assert "includes its setup, call" in str(error)
    else:
        raise AssertionError
    test.abandon()
    assert not get_recorder()._open
