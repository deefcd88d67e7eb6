"""Limits in source files are checked without running them."""

from __future__ import annotations

import textwrap

import pytest
from membudget.source.checking import problems_in

IMPORTS = "import pytest\nimport membudget\nfrom membudget import limit_memory, limit_leaks\n"
SAME_PLACE = "markers in the same place, and neither is closer: keep one of them, with all limits"


def problems(source: str) -> list[str]:
    found, _ = problems_in((IMPORTS + textwrap.dedent(source)).encode())
    return [f"{one.line - 3}: {one.message}" for one in found]


@pytest.mark.parametrize(
    ("source", "start"),
    [
        (
            "@pytest.mark.limit_memory('1 MBanana')\ndef test(): ...",
            "@pytest.mark.limit_memory('1 MBanana'): '1 MBanana' is not a memory",
        ),
        ("@limit_memory('24 MX')\ndef load(): ...", "limit_memory: '24 MX' is not a memory"),
        (
            "with membudget.limit_memory(total='x'): ...",
            "limit_memory, total: 'x' is not a memory",
        ),
        (
            "from membudget import limit_leaks as leaks\nleaks('')",
            "limit_leaks: '' is not a memory",
        ),
        ("limit_memory('1 MB', allocations=1.5)", "limit_memory, allocations: 1.5 is not a count"),
        ("limit_memory('1 MB', include='cal')", "limit_memory, include: "),
        ("limit_memory('1 MB', only='')", "limit_memory, only: '' is not a pattern"),
        ("limit_memory('1 MB', maximum=1)", "limit_memory: got an unexpected keyword"),
        ("limit_leaks()", "limit_leaks: missing a required argument: 'location_limit'"),
        ("pytestmark = [pytest.mark.limit_memory]", "@pytest.mark.limit_memory(): no limit is"),
        ("pytestmark = pytest.mark.no_memory_limit(7)", "@pytest.mark.no_memory_limit(7): reason"),
        ("pytestmark = pytest.mark.no_memray(7)", "@pytest.mark.no_memray(7): too many"),
        ("item.add_marker(pytest.mark.limit_leaks('x'))", "@pytest.mark.limit_leaks('x'): 'x'"),
        ("pytest.param(1, marks=pytest.mark.limit_memory('x'))", "@pytest.mark.limit_memory('x')"),
        ("self.assertMemoryLimit('x')", "assertMemoryLimit: 'x' is not a memory"),
        (
            "self.assertMemoryLimit('x', load, total=1)",
            "assertMemoryLimit: 'x' is not a memory",
        ),
        ("class T(MemoryTestCase): memory_limit = 'x'", "T.memory_limit: 'x' is not a memory"),
    ],
)
def test_wrong_arguments(source: str, start: str) -> None:
    (found,) = problems(source)
    line = 2 if source.startswith("from") else 1
    assert found.startswith(f"{line}: {start}"), found


@pytest.mark.parametrize(
    "source",
    [
        "limit_memory(LIMIT, total=f'{n} MB', only=PATTERNS)",
        "limit_memory(*given)",
        "limit_memory(**given)",
        "limit_leaks(*given, filter_fn=lambda stack: True)",
        "pytestmark = pytest.mark.limit_memory('24 MB', **given)",
        "self.assertMemoryLimit('1 MB', msg='x')",
        "self.assertMemoryLimit('1 MB', load, limit='x')",
        "self.assertMemoryLimit(**given)",
        "class T(MemoryTestCase): memory_limit = None",
        "class Cache: memory_limit = 'large'",
        "other.limit_memory('x')",
        "def limit(): ...\nlimit('x')",
        "@pytest.mark.limit_leaked_objects()\ndef test(): ...",
        "@pytest.mark.no_memray\n@pytest.mark.no_memory_limit\ndef test(): ...",
    ],
)
def test_what_is_right_or_not_literal(source: str) -> None:
    assert problems(source) == []


def test_two_markers_in_one_place() -> None:
    assert problems(
        """\
        @pytest.mark.limit_memory('1 MB')
        @pytest.mark.limit_memory(total='1 MB')
        def test_two(): ...

        @pytest.mark.limit_memory('1 MB')
        class Test:
            pytestmark = pytest.mark.no_memory_limit()

            @pytest.mark.limit_memory('2 MB')
            @pytest.mark.limit_leaks('2 MB')
            def test_closer(self): ...

        @pytest.mark.parametrize('n', [
            pytest.param(1, marks=pytest.mark.limit_memory('1 MB')),
            pytest.param(2, marks=[pytest.mark.limit_leaks(1), pytest.mark.limit_leaks(2)]),
        ])
        def test_parameters(n): ...
        """
    ) == [
        f"2: two limit_memory or no_memory_limit {SAME_PLACE}",
        f"7: two limit_memory or no_memory_limit {SAME_PLACE}",
        f"15: two limit_leaks or no_memory_limit {SAME_PLACE}",
    ]


@pytest.mark.parametrize("name", ["pytestmark", "limit"])
def test_one_of_several_values(name: str) -> None:
    """Only one of them counts, so they do not contradict each other; each must be right."""
    (found,) = problems(
        f"""\
        if condition:
            {name} = pytest.mark.limit_memory('1 MB')
        else:
            {name} = pytest.mark.limit_memory('2 MX')

        @{name}
        def test_it(): ...
        """
    )
    assert found.startswith("4: @pytest.mark.limit_memory('2 MX'): ")


def test_limits_that_count_different_memory() -> None:
    """The class's limit on the total would apply to the test as well."""
    (found,) = problems(
        """\
        @pytest.mark.limit_memory(total='9 MB')
        class Test:
            @pytest.mark.limit_memory('1 MB', only='orders')
            def test_orders(self): ...

            @pytest.mark.limit_memory('1 MB', only=ORDERS)
            def test_unknown(self): ...

            @pytest.mark.no_memory_limit()
            def test_waived(self): ...
        """
    )
    assert found.startswith("3: @pytest.mark.limit_memory(total='9 MB'): ")


def test_a_limit_on_what_is_not_measured() -> None:
    found = problems(
        """\
        pytestmark = pytest.mark.limit_memory('9 MB')

        @pytest.mark.no_memray
        def test_own(): ...

        @pytest.mark.no_memray
        @pytest.mark.no_memory_limit()
        def test_waived(): ...
        """
    )
    assert [one.partition(", because")[0] for one in found] == [
        "3: @pytest.mark.limit_memory('9 MB'): this limit cannot be enforced"
    ]
