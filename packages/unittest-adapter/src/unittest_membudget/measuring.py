"""Puts a block around the method of one test, and finds its budget."""

from __future__ import annotations

import contextlib
import functools
import inspect
import unittest
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from membudget import (
    InvalidLimitError,
    Limit,
    Measurement,
    MemoryLimitExceeded,
    MisuseError,
    Result,
    Verdict,
)
from membudget.runs import (
    Block,
    Budget,
    KeepsEvidence,
    LateStacks,
    Notes,
    Phase,
    PhasedBlock,
    Run,
    Settings,
    TestNames,
    TestRules,
    TraceSettings,
    Unmeasured,
    Worker,
    another_process_reports,
    budget_of,
    collect_garbage,
    delivering_verdicts,
    directories_of,
    exceeded_message,
    find_settings,
    has_nothing_to_measure,
    in_block,
    leave,
    measures,
    measuring_is_on,
    phases_of_test_case,
)

from ._private import (
    CALL,
    OF_DECORATORS,
    SET_UP,
    can_be_set_up_again,
    method_name,
    set_up_again,
)
from ._private import set_up as set_up_as_unittest
from .rules import CLASS_BUDGET, MEASURING, RUNS_MEASURED, rules_of
from .warm_up import warm_up

# unittest leaves out the frames of modules with this name from tracebacks.
__unittest = True

_OUTER_FILES: Final = directories_of(
    unittest.__file__,
    __file__,
    packages=["asyncio"],  # importing it takes long
)

_DEFAULTS: Final = Settings()


class MeasuredTest(NamedTuple):
    """What was measured of a test; the arguments of :meth:`Run.add`, but for the name."""

    measurement: Measurement
    verdict: Verdict
    late: LateStacks | None
    phases: Mapping[Phase, Measurement]
    is_warm: bool


Listener: TypeAlias = Callable[[MeasuredTest], None]


@dataclass(frozen=True, slots=True)
class Request:
    """A request to measure a test: by the runner, or by the class of the test itself.

    Attributes:
        listener: called with what was measured.
        settings: what to trace, the default limit, and how much a failure shows.
        keep_capture: where to keep the capture of the block; empty for nowhere.
        keep_evidence: keeps a capture of a test over its limit; may be None.
        baseline: the limit from the baseline, an earlier run; None if there is none.
        begins: called before the block; may be None.
    """

    listener: Listener
    settings: Settings
    keep_capture: str = ""
    baseline: Limit | None = None
    begins: Callable[[], None] | None = None
    keep_evidence: KeepsEvidence | None = None

    @classmethod
    def in_run(
        cls, run: Run, name: str, listener: Listener, begins: Callable[[], None] | None = None
    ) -> Request:
        """Return the request to measure a test of a run.

        Args:
            run: the run.
            name: the name of the test in it.
            listener, begins: see above.
        """
        return cls(
            listener,
            run.settings,
            run.path_of(name),
            run.baseline_limit(name),
            begins,
            run.evidence_of(name),
        )


class _Measuring:
    """Measures one test for all requests: of its class, its runner, or both."""

    def __init__(self, test: unittest.TestCase, rules: TestRules, enforced: Budget) -> None:
        self._test = test
        self._rules = rules
        self._enforced = enforced  # by the method itself, in its own block
        self._requests: list[Request] = []
        self._measured: list[tuple[Measurement, Verdict, LateStacks | None]] = []
        self._over: tuple[Measurement, Verdict] | None = None
        self._phased: PhasedBlock | None = None
        self._is_warm = False
        self._cold: Block | None = None  # of the first run, if another one can follow
        self._set_up: Callable[[], object] | None = None
        self._before: dict[str, object] = {}  # the attributes of the test before its setup
        self.around = contextlib.ExitStack()

    def add(self, request: Request | None) -> None:
        """Add a request; if there are several, the last one decides how to measure."""
        if request is not None:
            self._requests.append(request)

    @property
    def _settings(self) -> Settings:
        return self._requests[-1].settings if self._requests else _DEFAULTS

    @property
    def _trace(self) -> TraceSettings | None:
        return self._requests[-1].settings.trace if self._requests else None

    @property
    def _budget(self) -> Budget:
        # All requests are known when the test begins.
        baseline = self._requests[-1].baseline if self._requests else None
        return self._rules.budget_with(self._settings, baseline).minus(self._enforced)

    def set_up(self, set_up: Callable[[], object]) -> None:
        """Set up a test, in place of unittest, before anything of it is measured."""
        scope = self._budget.scope
        if scope.stable and measuring_is_on():
            warms_up = self._settings.warms_up_before(self._budget)
            if warms_up or not can_be_set_up_again(self._test):
                warm_up(self._test, self._trace)
                self._is_warm = True
            else:
                self._set_up, self._before = set_up, dict(vars(self._test))
        if scope.phases == ("call",):
            set_up()
            return
        self._phased = PhasedBlock(self._block())
        self.around.callback(self._phased.abandon)
        self.around.enter_context(phases_of_test_case(self._phased, self._test, set_up))
        set_up_as_unittest(self._test)

    def run_warm(self, call: Callable[[], object]) -> None:
        """Run the test again if it was over a limit in its first run: the second one decides.

        Args:
            call: calls its method.
        """
        cold, self._cold = self._cold, None
        if cold is None or not cold.is_over or self._set_up is None:
            return
        collect_garbage()
        set_up_again(self._test, self._set_up, self._before)
        self._is_warm = True
        call()

    def call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a test method that runs in a block; call :meth:`report` afterwards."""
        for request in self._requests:
            if request.begins is not None:
                request.begins()
        if self._phased is not None:
            return self._phased.around(function)
        # Known only once it was set up: another block can follow this one.
        is_provisional = self._set_up is not None and not self._is_warm
        block = self._block(around_call=True, is_provisional=is_provisional)
        if is_provisional:
            self._cold = block
        if not self._requests and not block.budget.limits_anything:
            return function  # its class has no limit, it only uses the assertion
        if block.budget.scope.phases != ("call",):
            raise MisuseError(
                f"the budget of this test includes its {', '.join(block.budget.scope.phases)}, "
                f"but {type(self._test).__qualname__} runs setUp in another way than unittest, so "
                f"they cannot be measured: limit only the call"
            )
        return in_block(block, function)

    def __reduce__(self) -> str:
        # Django drops attributes of a test that cannot be pickled, and would pickle this otherwise.
        raise TypeError(f"{type(self).__name__} cannot be pickled")

    def report(self, result: object = None) -> None:
        """Pass the measurement to all requests, unless the test returned unfinished work.

        A test that returns a Twisted Deferred has yet to do its work.
        """
        phases = {} if self._phased is None else self._phased.measured
        while self._measured:
            measured = self._measured.pop()
            if not inspect.isawaitable(result):
                for request in self._requests:
                    request.listener(MeasuredTest(*measured, phases, self._is_warm))

    def raise_if_over(self) -> None:
        """Raise the error of the test's block once more, because something has caught it.

        Raises:
            MemoryLimitExceeded: the test is over its limit.
        """
        if self._over is not None:
            measurement, verdict = self._over
            raise MemoryLimitExceeded(self._message("Test", *self._over), measurement, verdict)

    def _message(self, subject: str, measurement: Measurement, verdict: Verdict) -> str:
        return exceeded_message(
            subject,
            measurement,
            verdict,
            n_frames=self._settings.stacks,
            capture=self._keep_capture,
        )

    @property
    def _keep_capture(self) -> str:
        return next(filter(None, (one.keep_capture for one in self._requests)), "")

    def _note(self, measurement: Measurement, verdict: Verdict, late: LateStacks | None) -> None:
        self._measured.append((measurement, verdict, late))
        if not verdict.within:
            self._over = (measurement, verdict)

    def _block(self, *, around_call: bool = False, is_provisional: bool = False) -> Block:
        return Block(
            self._budget,
            subject="Test",
            trace=self._trace,
            always_allocations=bool(self._requests),
            keep_capture=self._keep_capture,
            keep_evidence=next(filter(None, (one.keep_evidence for one in self._requests)), None),
            outer_files=_OUTER_FILES,
            around_call=around_call,
            is_provisional=is_provisional,
            message=self._message,
            on_measured=self._note,
        )


@contextlib.contextmanager
def measured(test: unittest.TestCase, request: Request | None = None) -> Iterator[bool]:
    """While this lasts, run the method of ``test`` in a block; ``setUp`` stays outside.

    The class of a test and its runner may both request this. The test still runs in one block, and
    both get the measurement.

    Args:
        test: the test.
        request: the request; None to only enforce limits.

    Yields:
        Whether the test is measured.
    """
    measuring: _Measuring | None = getattr(test, MEASURING, None)
    if measuring is not None:
        measuring.add(request)
        yield True
        return
    # A test may be any object that calls the result, even one without a method.
    name = method_name(test)
    method = getattr(test, name, None)
    try:
        rules = rules_of(type(test), name)
    except InvalidLimitError as error:
        # An error of this test alone.
        with _replaced(test, {name: functools.partial(_refuse, error)}):
            yield True
        return
    # unittest makes tests without a method for modules it cannot import.
    if method is None or not _can_be_measured(rules, method):
        yield False
        return
    if measures(method):  # pytest measures it already
        yield True
        return
    own, bare = budget_of(method)
    # A budget below another decorator is enforced where it is, in its own block.
    measuring = _Measuring(test, rules, own if own is not None and bare == method else Budget())
    measuring.add(request)
    run = _in_block(method, bare, measuring)
    replaced: dict[str, Any] = {MEASURING: measuring, name: run}
    call, set_up = getattr(test, CALL, None), getattr(test, SET_UP, None)
    if call is not None:
        # Python 3.12.1 looks up the method before it calls startTest() of the result.
        replaced[CALL] = _calling(call, run, measuring)
    if set_up is not None:
        replaced[SET_UP] = lambda: measuring.set_up(set_up)
    with _replaced(test, replaced):
        try:
            with measuring.around:
                yield True
        finally:
            measuring.report()


def _calling(
    call: Callable[..., Any], run: Callable[..., Any], measuring: _Measuring
) -> Callable[[object], None]:
    """Return a function that calls the test method; it cannot be pickled, as Django requires."""

    def call_test_method(_: object) -> None:
        call(run)
        measuring.run_warm(functools.partial(call, run))
        measuring.raise_if_over()  # the class of the test may have caught what the block raised

    return call_test_method


@contextlib.contextmanager
def _replaced(test: unittest.TestCase, attributes: dict[str, Any]) -> Iterator[None]:
    before = dict(vars(test))
    vars(test).update(attributes)
    try:
        yield
    finally:
        # The test may have changed its attributes: some delete all of them in tearDown.
        for name in attributes:
            if name in before:
                vars(test)[name] = before[name]
            else:
                vars(test).pop(name, None)


def _refuse(error: Exception) -> None:
    raise error


def _can_be_measured(rules: TestRules, method: Callable[..., Any]) -> bool:
    return rules.measured and not (has_nothing_to_measure(method) and rules.budget is None)


def _in_block(
    method: Callable[..., Any], bare: Callable[..., Any], measuring: _Measuring
) -> Callable[..., Any]:
    run: Callable[..., Any]
    if inspect.iscoroutinefunction(bare):

        @functools.wraps(bare)
        async def run(*args: Any) -> Any:
            try:
                with delivering_verdicts():
                    return await measuring.call(bare)(*args)
            finally:
                measuring.report()

    else:

        @functools.wraps(bare)
        def run(*args: Any) -> Any:
            result = None
            try:
                with delivering_verdicts():
                    result = measuring.call(bare)(*args)
                return result
            finally:
                measuring.report(result)

    # Tests inspect their own method, so this looks like one. A real bound method would make the
    # test impossible to pickle, as Django does with tests that have subtests.
    if inspect.ismethod(bare):
        vars(run).update(__self__=bare.__self__, __func__=bare.__func__)
    # Attributes of decorators above the budget, such as that of expectedFailure.
    for name, value in getattr(method, "__dict__", {}).items():
        if name.startswith(OF_DECORATORS):
            setattr(run, name, value)
    return run


def put_budget_on(cls: type[unittest.TestCase], budget: Budget) -> None:
    """Make ``budget`` the default of the tests of ``cls``, with any runner."""
    setattr(cls, CLASS_BUDGET, budget)
    if getattr(cls, RUNS_MEASURED, False):
        return
    run: Any = cls.run

    @functools.wraps(run)
    def run_in_block(
        self: unittest.TestCase, result: unittest.TestResult | None = None
    ) -> unittest.TestResult | None:
        with measured(self, request_of_the_class(self)):
            finished: unittest.TestResult | None = run(self, result)
            return finished

    cls.run = run_in_block  # type: ignore[method-assign]
    setattr(cls, RUNS_MEASURED, True)


_names: Final = TestNames()  # of the tests that their class measures


def request_of_the_class(test: unittest.TestCase) -> Request | None:
    """Return the request of a test whose class measures it and another process reports it.

    None if this process reports: then the runner makes a request, or limits are only enforced.
    """
    if not another_process_reports():
        return None
    run = _run_of_this_process()
    name = _names.new(test.id())

    def listener(test: MeasuredTest) -> None:
        phases = tuple(test.phases.items())
        leave([Result(name, test.measurement, test.verdict, phases, is_warm=test.is_warm)])
        run.ended(name, test.measurement)

    def begins() -> None:
        leave(notes=Notes(unmeasured={name: Unmeasured.UNKNOWN}))
        run.starts(name)

    return Request.in_run(run, name, listener, begins)


@functools.cache
def _run_of_this_process() -> Run:
    return Run(find_settings("unittest"), "unittest", worker=Worker())
