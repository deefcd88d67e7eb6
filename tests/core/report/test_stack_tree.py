"""Trees of stacks, for icicle graphs."""

from __future__ import annotations

from membudget import Allocation, Frame
from membudget.report.stack_tree import Node, nodes_of, stack_tree

TEST = Frame("test_load", "/w/tests/test_app.py", 9)
LOAD = Frame("load", "/w/app.py", 7)
LIBRARY = "/venv/lib/python3.13/site-packages/pandas/io.py"


def in_library(*functions: str) -> list[Frame]:
    return [Frame(function, LIBRARY, 5) for function in functions]


def stack(*calls: Frame) -> tuple[Frame, ...]:
    """Return calls, the outermost first, as a stack has them."""
    return tuple(reversed(calls))


def shown(node: Node, depth: int = 0) -> list[str]:
    """Return a tree as indented lines."""
    step = node.step
    own = "" if step.is_own else " (library)"
    line = f"{'  ' * depth}{step.label} {step.place}{own}: {node.size_bytes}"
    return [line, *(text for child in node.largest_first for text in shown(child, depth + 1))]


def test_stacks_share_the_calls_that_led_to_them() -> None:
    tree = stack_tree(
        "Peak",
        [
            Allocation(100, 1, stack(TEST, LOAD)),
            Allocation(300, 2, stack(TEST, LOAD, Frame("parse", "/w/app.py", 30))),
            Allocation(50, 1, ()),
        ],
        "/w",
    )
    assert shown(tree) == [
        "Peak : 450",
        "  test_load tests/test_app.py:9: 400",
        "    load app.py:7: 400",
        "      parse app.py:30: 300",
        "  outside of Python code  (library): 50",
    ]
    assert [node.n_allocations for node in nodes_of(tree)][:2] == [4, 3]


def test_calls_inside_libraries_are_folded() -> None:
    """The call of the library, the call that allocated, and own code that it calls are kept."""
    outer, inner = in_library("read", "a", "b", "make"), in_library("copy", "alloc")
    tree = stack_tree("Peak", [Allocation(9, 1, stack(TEST, *outer, LOAD, *inner))], "/w")
    assert [line.strip() for line in shown(tree)[1:]] == [
        "test_load tests/test_app.py:9: 9",
        "read pandas/io.py:5 (library): 9",
        "2 calls pandas (library): 9",
        "make pandas/io.py:5 (library): 9",
        "load app.py:7: 9",
        "copy pandas/io.py:5 (library): 9",
        "alloc pandas/io.py:5 (library): 9",
    ]


def test_a_deep_recursion_is_folded() -> None:
    tree = stack_tree("Peak", [Allocation(9, 1, stack(TEST, *[LOAD] * 900))], "/w")
    labels = [node.step.label for node in nodes_of(tree)]
    assert len(labels) == 1 + 32
    assert labels[1] == "test_load"
    assert labels.count("870 calls") == 1


def test_small_stacks_are_one_node() -> None:
    small = [Allocation(1, 1, stack(TEST, Frame(f"f{i}", "/w/a.py", 1))) for i in range(60)]
    tree = stack_tree("Peak", [Allocation(10_000, 1, stack(TEST)), *small], "/w")
    assert shown(tree)[1:] == [
        "  test_load tests/test_app.py:9: 10000",
        "  60 more stacks  (library): 60",
    ]
    assert len(stack_tree("Peak", small, "/w").children) == 2


def test_functions_are_compared_with_an_earlier_run() -> None:
    """By file and function: lines move when a file is edited."""
    moved = Frame("load", "/w/app.py", 99)
    old = [
        Allocation(100, 1, stack(TEST, moved)),
        Allocation(80, 1, stack(TEST, Frame("gone", "/w/a.py", 1))),
    ]
    new = [
        Allocation(150, 1, stack(TEST, LOAD)),
        Allocation(50, 1, stack(TEST, moved)),
        Allocation(7, 1, stack(TEST, Frame("new", "/w/a.py", 1))),
    ]
    tree = stack_tree("Peak", new, "/w", old)
    compared = [(node.step.label, node.old_bytes, node.new_bytes) for node in nodes_of(tree)]
    assert compared == [
        ("Peak", 180, 207),
        ("test_load", 180, 207),
        ("load", 100, 200),
        ("load", 100, 200),
        ("new", 0, 7),
    ]


def test_text_that_is_not_printable_is_escaped() -> None:
    tree = stack_tree("Peak", [Allocation(9, 1, (Frame("f\u202e", "\x1b.py", 1),))], "")
    assert [node.step.label for node in nodes_of(tree)][1:] == ["f\\u202e"]
    assert all(node.step.place.isprintable() for node in nodes_of(tree))
