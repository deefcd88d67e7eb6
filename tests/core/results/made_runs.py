"""Made-up runs with everything in them that a run file can have."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import strategies as st
from membudget import (
    Allocation,
    Budget,
    Curve,
    Excess,
    Frame,
    LeakedObjects,
    LeakLimit,
    Limit,
    Measurement,
    ObjectLimit,
    Result,
    Scope,
    Unseen,
    Verdict,
)
from membudget.results import Environment, RunFile
from membudget.source.definitions import Definition, WrittenTest
from membudget.source.sources import ImportedFile, Sources

T = TypeVar("T")

# Names of files can have bytes that are not UTF-8; Python has a surrogate for each of these.
texts = st.text(st.characters(exclude_categories=["Cs"]) | st.just("\udc80"), max_size=6)
counts = st.integers(0, 2**60)
flags = st.booleans()
phase_names = st.sampled_from(["setup", "call", "teardown"])
figures = st.sampled_from(["peak_bytes", "total_bytes", "n_allocations", "retained_bytes"])


def some(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(strategy, max_size=2).map(tuple)


def pairs(
    keys: st.SearchStrategy[str], values: st.SearchStrategy[T]
) -> st.SearchStrategy[tuple[tuple[str, T], ...]]:
    return st.dictionaries(keys, values, max_size=2).map(lambda found: tuple(found.items()))


stacks = some(st.builds(Frame, texts, texts, counts))
allocations = some(st.builds(Allocation, counts, counts, stacks, counts, counts, counts))
leaked_objects = some(st.builds(LeakedObjects, texts, counts, stacks, texts))
measurements = st.builds(
    Measurement,
    *(counts, counts, counts, counts, some(counts)),
    *(allocations, allocations, leaked_objects, texts, some(texts), flags),
    some(st.builds(Unseen, texts, st.none() | counts)),
    st.none() | st.builds(Curve, st.integers(1, 2**40), some(counts)),
)
limits = st.builds(Limit, figures, counts, texts)
scopes = st.builds(Scope, flags, some(texts), some(texts), some(phase_names), st.none() | flags)
budgets = st.builds(
    Budget,
    some(limits),
    scopes,
    st.none() | st.builds(LeakLimit, counts, origin=texts),
    st.none() | st.builds(ObjectLimit, origin=texts),
)
verdicts = st.builds(
    Verdict, budgets, some(st.builds(Excess, limits, counts)), allocations, leaked_objects
)
results = st.builds(
    Result,
    *(texts, measurements, verdicts, pairs(phase_names, measurements)),
    st.sampled_from(["", "passed", "failed", "skipped", "error"]),
    *(texts, counts, texts, st.integers(1, 9), st.none() | flags),
)
environments = st.builds(
    Environment,
    *[texts] * 6,
    st.sampled_from(["", "scanner", "replay"]),
    *(pairs(texts, texts), some(texts), st.just(""), texts, texts, counts, texts),
    *(texts, st.floats(0, 1e6)),
)
definitions = st.builds(Definition, texts, texts, counts)
written_tests = st.builds(
    WrittenTest,
    *(definitions, st.none() | definitions, some(definitions), texts),
    *(st.sampled_from(["pytest", "unittest"]), flags),
)
sources = st.builds(
    Sources,
    *(pairs(texts, written_tests), some(st.builds(ImportedFile, texts, texts)), flags),
    *(pairs(texts, texts), pairs(texts, texts), flags),
)
runs = st.builds(RunFile, environments, some(results), st.none() | sources)
