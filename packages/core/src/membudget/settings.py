"""The options of all front ends: one table, which is the fields of :class:`Settings`.

Everything else about an option follows from its row: its flag on a command line, its key in a
configuration file, its variable in the environment, its row in docs/guide.md.
:mod:`membudget.settings_sources` reads the values that users gave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

from . import option_values
from .availability import ENFORCEMENT_VARIABLE
from .budget import Budget, Limit, Phase, Scope
from .recording.request import TraceSettings
from .tolerance import DEFAULT_TOLERANCE, Tolerance

T = TypeVar("T")
FrontEnd: TypeAlias = Literal["pytest", "unittest"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option: a row of the table.

    Attributes:
        name: the name in Python and in configuration files; ``most_allocations`` is
            ``--most-allocations`` on a command line and ``MEMBUDGET_MOST_ALLOCATIONS`` in the
            environment.
        default: its value when no source sets it.
        help: one line for ``--help``.
        parser: turns a value and the place where it is written into a typed value; see
            :mod:`membudget.option_values`.
        metavar: the placeholder for the value in ``--help``; empty for an option that is on or off.
        bare: the value of the flag without a value; empty if it needs one.
        needs: names of other options; the option does nothing unless at least one of them is set.
            Empty if it needs none.
        only_for: the front end that has the option; None if all have it.
        always_on_in: the front end that behaves as if the option were always set, and accepts the
            flag so that the same command line works everywhere; None if there is none.
        keeps_figures: whether it keeps figures of a run, or compares them with those of another.
    """

    name: str
    default: object
    help: str
    parser: Callable[[object, str], object]
    metavar: str = ""
    bare: str = ""
    needs: tuple[str, ...] = ()
    only_for: FrontEnd | None = None
    always_on_in: FrontEnd | None = None
    keeps_figures: bool = False

    @property
    def flag(self) -> str:
        """The name on a command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The name in the environment."""
        return f"{ENFORCEMENT_VARIABLE}_{self.name.upper()}"

    def parse(self, value: object, *, source: str) -> Any:
        """Return ``value`` as a value of this option.

        Args:
            value: text, or a bool or an int from a file that has these types.
            source: the start of the error message: where the value is written.

        Raises:
            InvalidOptionError: the value is invalid.
        """
        return self.parser(value, source)

    def text_of(self, value: object) -> str:
        """Return text that :meth:`parse` turns into ``value``."""
        return ",".join(value) if isinstance(value, tuple) else str(value)


def _option(
    default: T,
    help: str,  # noqa: A002 - as argparse calls it
    parser: Callable[[object, str], T],
    *,
    metavar: str = "",
    bare: str = "",
    needs: tuple[str, ...] = (),
    only_for: FrontEnd | None = None,
    always_on_in: FrontEnd | None = None,
    keeps_figures: bool = False,
) -> T:
    """Declare a field of :class:`Settings` as an option; see :class:`Option`."""
    row = Option(
        "", default, help, parser, metavar, bare, needs, only_for, always_on_in, keeps_figures
    )
    return field(default=default, metadata={Option: row})


def _switch(help: str, **others: Any) -> bool:  # noqa: A002
    return _option(False, help, option_values.on_or_off, **others)


ENVIRONMENT: Final = "the environment"
COMMAND_LINE: Final = "the command line"


class Origin(NamedTuple):
    """Where the value of an option is written."""

    place: str
    """A file, or :data:`ENVIRONMENT` or :data:`COMMAND_LINE`."""
    key: str
    """The name of the option there."""

    def __str__(self) -> str:
        return f"{self.place}, {self.key}"


# For options that need measured tests: all of them, or at least those with a limit.
_MEASURING: Final = ("memray", "memray_enforce_markers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The value of every option. Each field but ``origins`` is an option.

    Example:
        >>> Settings(memray_default_limit=1024).default_budget.limits[0].maximum
        1024
    """

    memray: bool = _switch(
        "Measure the memory of every test and enforce the limits of tests",
        always_on_in="unittest",
    )
    most_allocations: int = _option(
        5,
        "Show the N tests with the largest peak memory (0 for all)",
        option_values.whole_number(least=0),
        metavar="N",
    )
    hide_memray_summary: bool = _switch("Do not show the memory report at the end of the run")
    stacks: int = _option(
        5,
        "Show the N innermost frames of each stack trace of a failure",
        option_values.whole_number(least=1),
        metavar="N",
    )
    memray_default_limit: int | None = _option(
        None,
        "The limit of every test without a limit of its own, such as '24 MB'",
        option_values.size,
        metavar="SIZE",
        needs=_MEASURING,
    )
    memray_enforce_markers: str = _option(
        "enabled",
        "When to enforce markers: 'enabled' (only with --memray) or 'always' (in every run)",
        option_values.one_of("enabled", "always"),
        metavar="WHEN",
        only_for="pytest",
    )
    memray_stable: bool = _switch(
        "Measure every test so that the same work gives the same figures (takes longer)",
        needs=_MEASURING,
    )
    memray_include: tuple[Phase, ...] = _option(
        ("call",),
        "The phases of a test that count, separated by commas: 'setup', 'call', 'teardown'",
        option_values.phases,
        metavar="PHASES",
        needs=_MEASURING,
    )
    memray_table: bool = _switch(
        "Show a table of all tests in the report",
        needs=("memray",),
    )
    memray_margins: bool = _switch(
        "Show used and allowed memory for each limit in the report, tightest first",
        needs=("memray",),
    )
    memray_suggest: bool = _switch(
        "Suggest a limit for every test, and show what it used and its present limit",
        needs=("memray",),
        keeps_figures=True,
    )
    memray_fix: option_values.FixMode | None = _option(  # noqa: RUF009 - a field
        None,
        "Write suggested limits into the source of the tests: 'raise' limits that are too low, "
        "'lower' limits that are too high, 'add' a limit to tests without one, or 'all' of these "
        "(also if no MODE is given)",
        option_values.fix_mode,
        metavar="MODE",
        bare="all",
        needs=("memray",),
        keeps_figures=True,
    )
    memray_fix_in_ci: bool = _switch(
        "Let --memray-fix write even if the environment variable CI is set",
        needs=("memray_fix",),
    )
    memray_baseline: Path | None = _option(  # noqa: RUF009 - a field
        None,
        "Compare each test with the file for this environment in this directory: its peak may grow "
        "by the tolerance",
        option_values.directory,
        metavar="DIR",
        needs=_MEASURING,
        keeps_figures=True,
    )
    memray_tolerance: Tolerance = _option(  # noqa: RUF009 - a field
        DEFAULT_TOLERANCE,
        "By how much a peak may exceed its baseline: a percentage, a size, or both with a plus "
        "sign, which must both be exceeded",
        option_values.tolerance,
        metavar="TOLERANCE",
        needs=("memray_baseline",),
    )
    memray_update_baseline: tuple[option_values.UpdateMode, ...] = _option(
        (),
        "Write the baseline of tests that are 'new', 'worse' or 'better', with commas between, or "
        "of 'all' of these, which is what it means alone and takes out tests that are gone",
        option_values.update_modes,
        metavar="MODE",
        bare="all",
        needs=("memray_baseline",),
    )
    memray_require_baseline: bool = _switch(
        "Fail the run if a test that was measured has no baseline",
        needs=("memray_baseline",),
    )
    fail_on_increase: bool = _switch(
        "Fail a test whose peak is larger than in the last run in which it passed, by a baseline "
        "in pytest's cache directory, without tolerance",
        needs=("memray",),
        only_for="pytest",
        keeps_figures=True,
    )
    memray_json: Path | None = _option(  # noqa: RUF009 - a field
        None,
        "Write all measurements and verdicts to this file, as JSON",
        option_values.file_to_write,
        metavar="PATH",
        needs=_MEASURING,
        keeps_figures=True,
    )
    memray_html: Path | None = _option(  # noqa: RUF009 - a field
        None,
        "Write a report of all tests to this file, as a page for a browser",
        option_values.file_to_write,
        metavar="PATH",
        needs=_MEASURING,
        keeps_figures=True,
    )
    memray_markdown: Path | None = _option(  # noqa: RUF009 - a field
        None,
        "Write a report of all tests to this file, as Markdown for a pull request",
        option_values.file_to_write,
        metavar="PATH",
        needs=_MEASURING,
        keeps_figures=True,
    )
    memray_github: str = _option(
        "auto",
        "On GitHub Actions, write annotations and the summary of the step: 'auto' or 'off'",
        option_values.one_of("auto", "off"),
        metavar="WHEN",
    )
    memray_log: Path | None = _option(  # noqa: RUF009 - a field
        None,
        "Write a line to this file when a test starts and when it ends, at once, so that it "
        "survives a killed process",
        option_values.file_to_write,
        metavar="PATH",
        needs=_MEASURING,
        keeps_figures=True,
    )
    memray_bin_path: Path | None = _option(  # noqa: RUF009 - a field
        None,
        "Keep a capture of every test in this directory, for 'memray flamegraph' and similar tools",
        option_values.directory,
        metavar="DIR",
        needs=("memray",),
        keeps_figures=True,
    )
    memray_bin_prefix: str = _option(
        "",
        "Start the file names of kept captures with PREFIX (default: a random one for each run)",
        option_values.start_of_file_names,
        metavar="PREFIX",
        needs=("memray_bin_path",),
    )
    memray_evidence: Path | None = _option(  # noqa: RUF009 - a field
        None,
        "Keep a capture of each test over a limit in this directory, those furthest over it first, "
        "for 'memray flamegraph' and similar tools",
        option_values.directory,
        metavar="DIR",
        needs=_MEASURING,
    )
    memray_evidence_count: int = _option(
        20,
        "Keep at most N captures as evidence",
        option_values.whole_number(least=1),
        metavar="N",
        needs=("memray_evidence",),
    )
    memray_evidence_size: int = _option(
        200 * 1024**2,
        "Keep at most this much evidence, such as '50 MB'; the default is 200 MB",
        option_values.size,
        metavar="SIZE",
        needs=("memray_evidence",),
    )
    memray_own_allocators: str = _option(
        "visible",
        "Make libraries with an allocator of their own 'visible' to memray, or leave them "
        "'untouched'",
        option_values.one_of("visible", "untouched"),
        metavar="HOW",
    )
    memray_blind: str = _option(
        "warn",
        "What to do if memray cannot check a limit in full, because it does not see all memory: "
        "'warn' or 'error'",
        option_values.one_of("warn", "error"),
        metavar="HOW",
    )
    native: bool = _switch("Record native stacks as well (changes no figure, costs time)")
    trace_python_allocators: bool = _switch(
        "Count every Python object, instead of the arenas that Python puts them in"
    )
    origins: Mapping[str, Origin] = field(default_factory=dict, compare=False, repr=False)
    """Where each given value is written, by the name of the option."""

    @property
    def default_budget(self) -> Budget:
        """The budget of a test without its own."""
        if self.memray_default_limit is None:
            return Budget()
        origin = str(self.origins.get("memray_default_limit", ""))
        return Budget((Limit("peak_bytes", self.memray_default_limit, origin, "default"),))

    @property
    def suggests_limits(self) -> bool:
        """Whether the run suggests limits, to show or write them."""
        return self.memray_suggest or self.memray_fix is not None

    @property
    def needs_sources(self) -> bool:
        """Whether the run needs to know where tests are written: to change them, now or later."""
        return self.suggests_limits or self.memray_json is not None

    @property
    def keeps_figures(self) -> bool:
        """Whether figures of the run are kept, or compared with those of another run."""
        return any(
            option.keeps_figures and getattr(self, option.name) != option.default
            for option in OPTIONS
        )

    def warms_up_before(self, budget: Budget) -> bool:
        """Whether a test with a budget runs once before it is measured.

        A stable test for which this is false is measured in its first run. If that is over a limit,
        the test runs again, and the second run decides. That would be too late for limits on more
        phases than the call, which end with the test; and figures that are kept must all be warm.
        """
        is_phased = budget.limits_anything and budget.scope.phases != ("call",)
        return bool(budget.scope.stable) and (is_phased or self.keeps_figures)

    @property
    def scope(self) -> Scope:
        """The scope of a test whose markers and decorators do not set one."""
        return Scope(include=self.memray_include, stable=self.memray_stable)

    @property
    def trace(self) -> TraceSettings:
        """What the recording of a test has to trace."""
        return TraceSettings(self.native, self.trace_python_allocators)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that give a child process the same settings."""
        values = ((option, getattr(self, option.name)) for option in OPTIONS)
        return {
            option.variable: option.text_of(value)
            for option, value in values
            if value != option.default
        }

    def missing_for(self, option: Option, front_end: FrontEnd) -> Option | None:
        """Return the option that is missing for another one to have an effect; None if it has one.

        Args:
            option: the other option.
            front_end: the front end to which these settings belong.
        """
        missing = [self._missing(_BY_NAME[name], front_end) for name in option.needs]
        return None if None in missing or not missing else missing[0]

    def _missing(self, need: Option, front_end: FrontEnd) -> Option | None:
        if need.always_on_in == front_end:
            return None
        if getattr(self, need.name) == need.default:
            return need
        return self.missing_for(need, front_end)

    def idle_notice(self, front_end: FrontEnd) -> str:
        """Return a line that names the settings without effect in this run; empty if all have one.

        Example:
            >>> Settings(memray_stable=True).idle_notice("pytest")
            'membudget: this setting does nothing without memray = true: memray_stable'
            >>> Settings(memray_stable=True).idle_notice("unittest")
            ''
        """
        idle: dict[str, list[str]] = {}
        for option in options_of(front_end):
            missing = self.missing_for(option, front_end)
            if missing is not None and getattr(self, option.name) != option.default:
                need = missing.name if missing.metavar else f"{missing.name} = true"
                idle.setdefault(need, []).append(self._written(option))
        groups = (
            f"{'this setting does' if len(names) == 1 else 'these settings do'} nothing without "
            f"{need}: {', '.join(names)}"
            for need, names in idle.items()
        )
        return f"membudget: {'; '.join(groups)}" if idle else ""

    def _written(self, option: Option) -> str:
        origin = self.origins.get(option.name)
        return option.name if origin is None else f"{origin.key} ({origin.place})"


def _rows() -> Iterator[Option]:
    for setting in fields(Settings):
        if Option in setting.metadata:
            yield replace(setting.metadata[Option], name=setting.name)


OPTIONS: Final = tuple(_rows())
_BY_NAME: Final = {option.name: option for option in OPTIONS}
DEFAULTS: Final = Settings()


def option_named(name: str) -> Option:
    """Return the option of that name."""
    return _BY_NAME[name]


def options_of(front_end: FrontEnd) -> tuple[Option, ...]:
    """Return the options that a front end has, in the order of the table."""
    return tuple(option for option in OPTIONS if option.only_for in (None, front_end))


def add_options(add: Callable[..., object], front_end: FrontEnd) -> None:
    """Add the options of a front end to a command line.

    An option that is not given is None, so that it does not override files and the environment.
    Pass the given options to :func:`membudget.find_settings`.

    Args:
        add: ``add_argument`` of ``argparse``, or a function that takes the same arguments.
        front_end: the front end.

    Example:
        >>> import argparse
        >>> parser = argparse.ArgumentParser()
        >>> add_options(parser.add_argument, "pytest")
        >>> given = parser.parse_args(["--memray", "--stacks=3"])
        >>> given.memray, given.stacks, given.native
        (True, '3', None)
    """
    for option in options_of(front_end):
        text = option.help
        if option.always_on_in == front_end:
            text = "Accepted for compatibility with other front ends; always on here"
        if option.bare:
            add(
                option.flag,
                dest=option.name,
                nargs="?",
                const=option.bare,
                metavar=option.metavar,
                help=text,
            )
        elif option.metavar:
            add(option.flag, dest=option.name, metavar=option.metavar, help=text)
        else:
            add(option.flag, dest=option.name, action="store_true", default=None, help=text)
