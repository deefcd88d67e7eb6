"""Garbage changes no verdict, and is collected only as far as a verdict needs it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
from conftest import in_subprocess
from membudget.host.system import Real
from membudget.recording.garbage import SettledGarbage, new_garbage_collected

# Objects of these tests are in cycles: only a collection frees them.


class Held:
    """An object in a cycle."""

    def __init__(self, data: object = None) -> None:
        self.data = data
        self.cycle = self


@pytest.fixture(autouse=True)
def _collector_as_before() -> Iterator[None]:
    last = SettledGarbage._full_ended_at, SettledGarbage._full_seconds
    gc.disable()
    yield
    gc.enable()
    SettledGarbage._full_ended_at, SettledGarbage._full_seconds = last


def old_garbage() -> weakref.ref[Held]:
    """Return a reference to garbage that only a full collection frees."""
    held = Held()
    gc.collect()
    return weakref.ref(held)


def settle() -> None:
    settled = SettledGarbage()
    settled.begin()
    settled.end()


def test_a_stable_block_collects_new_garbage_each_time_and_old_garbage_from_time_to_time() -> None:
    settle()
    SettledGarbage._full_seconds = 1e9  # it took long: not again soon
    old, new = old_garbage(), weakref.ref(Held())
    settle()
    assert new() is None
    assert old() is not None
    SettledGarbage._full_seconds = 0
    settle()
    assert old() is None


def test_the_garbage_of_a_warm_up_run_is_collected_however_old_it_became() -> None:
    settle()
    SettledGarbage._full_seconds = 1e9
    before = old_garbage()
    with new_garbage_collected():
        held = Held()
        gc.collect()  # now it is as old as an object can be
        made = weakref.ref(held)
        del held
    assert made() is None
    assert before() is not None
    assert not gc.get_freeze_count() or gc.get_freeze_count() < 1000  # CPython 3.12 freezes some


@in_subprocess
def test_limits_on_what_stays_do_not_count_garbage() -> None:
    import gc

    from membudget import limit_leaks, limit_memory

    class Held:
        def __init__(self, data: object = None) -> None:
            self.data = data
            self.cycle = self

    gc.disable()
    with limit_leaks("10 KB"):
        Held(bytearray(100_000))
    for stable in (False, True):
        before = Held()
        with limit_memory(retained="10 KB", stable=stable):
            Held(bytearray(100_000))
            gc.collect(1)
        with limit_memory(retained="10 KB", stable=stable):
            # Frozen during a stable block, and garbage at its end.
            before.data = bytearray(100_000)
            del before
    assert gc.get_freeze_count() < 1000


@in_subprocess
def test_a_block_that_leaves_nothing_behind_collects_no_garbage() -> None:
    import gc

    from membudget import MemoryLimitExceeded, limit_leaks, limit_memory
    from membudget.recording.readers.scanner import scanner_problem

    collected: list[int] = []
    gc.callbacks.append(lambda phase, info: collected.append(info["generation"]))
    gc.disable()
    with limit_leaks("10 KB"), limit_memory(retained="10 KB"):
        [bytearray(100) for _ in range(1000)]
    if scanner_problem() is None:  # the replay reads a block only when it has ended
        assert not collected
    try:
        with limit_leaks("10 KB"):
            kept = [bytearray(100) for _ in range(1000)]
    except MemoryLimitExceeded:
        assert 2 in collected
    else:
        raise AssertionError(f"{len(kept)} objects were kept")


@in_subprocess
def test_a_filter_and_two_limits_are_read_before_the_end_of_their_block() -> None:
    from membudget import MemoryLimitExceeded, limit_memory

    kept = []
    with limit_memory(retained="10 KB", ignore="json"), limit_memory("1 MB", retained="1 KB"):
        bytearray(100_000)
    try:
        with limit_memory(retained="10 KB", ignore="json") as memory:
            kept.append(bytearray(100_000))
    except MemoryLimitExceeded:
        assert 100_000 <= memory.retained_bytes < 110_000
    else:
        raise AssertionError("the limit was not enforced")


def test_full_collections_take_a_twentieth_of_the_time_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SettledGarbage, "_full_ended_at", 100.0)
    monkeypatch.setattr(SettledGarbage, "_full_seconds", 0.5)
    monkeypatch.setattr(Real, "perf_counter", lambda: 109.9)
    assert not SettledGarbage._is_time_for_all()
    monkeypatch.setattr(Real, "perf_counter", lambda: 110.1)
    assert SettledGarbage._is_time_for_all()
