"""The plugin that pytest loads: options, markers, and the measuring if ``--memray`` is given."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
from collections.abc import Mapping
from typing import Literal

import pytest
from membudget import InvalidOptionError, why_not_measured
from membudget.runs import Option, Settings, add_options, find_settings, options_of

from .markers import DESCRIPTIONS
from .not_enforced import IdleSettingsPlugin, NotEnforcedPlugin
from .verdicts import VerdictsPlugin

VERBOSITY = "verbosity_memray"

_CONFLICT = (
    "pytest-membudget and pytest-memray cannot be loaded together: both add the option --memray. "
    "Uninstall one of them (pip uninstall pytest-memray), or keep one out of this run: "
    "'-p no:memray' keeps pytest-memray out, '-p no:membudget' keeps pytest-membudget out"
)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if _pytest_memray_loads(pluginmanager):
        raise pytest.UsageError(_CONFLICT)
    group = parser.getgroup("memray", "memory budgets (membudget)")
    add_options(group.addoption, "pytest")
    for option in options_of("pytest"):
        parser.addini(option.name, option.help, type=_ini_type(option), default=None)
    parser.addini(
        VERBOSITY,
        "How many allocations a test over its limit shows, in place of -q and -v",
        type="string",
        default="auto",
    )


def _ini_type(option: Option) -> Literal["bool", "int", "string"]:
    if isinstance(option.default, bool):
        return "bool"
    # A size is an int as well, but can be written with a unit.
    is_number = isinstance(option.default, int) and option.metavar != "SIZE"
    return "int" if is_number else "string"


def _pytest_memray_loads(pluginmanager: pytest.PytestPluginManager) -> bool:
    """Whether pytest-memray is loaded in this run, or will be after this plugin."""
    if pluginmanager.hasplugin("memray") or pluginmanager.hasplugin("pytest_memray"):
        return True
    if pluginmanager.is_blocked("memray") or os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        return False
    return importlib.util.find_spec("pytest_memray") is not None


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    # A library may choose its allocator when a conftest.py imports it, so begin before that.
    # Wrong options are reported later, when all plugins are loaded.
    with contextlib.suppress(InvalidOptionError):
        settings = _settings(early_config, vars(early_config.known_args_namespace))
        if _enforces(settings):
            _see_own_allocators(early_config, settings)


def _settings(config: pytest.Config, command_line: Mapping[str, object]) -> Settings:
    return find_settings(
        "pytest",
        command_line,
        directory=config.rootpath,
        own_file={option.name: _from_file(config, option) for option in options_of("pytest")},
        own_file_name=_file_name(config),
    )


def _enforces(settings: Settings) -> bool:
    return settings.memray or settings.memray_enforce_markers == "always"


def _see_own_allocators(config: pytest.Config, settings: Settings) -> None:
    from membudget.runs import own_allocators_seen

    seen = contextlib.ExitStack()
    seen.enter_context(own_allocators_seen(settings))
    config.add_cleanup(seen.close)


def pytest_configure(config: pytest.Config) -> None:
    for marker in DESCRIPTIONS:
        config.addinivalue_line("markers", marker)
    try:
        settings = _settings(config, vars(config.option))
        is_off = why_not_measured() is not None
    except InvalidOptionError as error:
        raise pytest.UsageError(str(error)) from error
    _check_verbosity(config)
    register = config.pluginmanager.register
    register(VerdictsPlugin(), "membudget-verdicts")
    # With --memray, the report has the notice.
    notice = "" if settings.memray else settings.idle_notice("pytest")
    if notice and not (is_off or settings.hide_memray_summary):
        register(IdleSettingsPlugin(notice), "membudget-idle-settings")
    if _enforces(settings):
        _register_enforcing(config, settings, is_off=is_off)
    elif not is_off:
        register(NotEnforcedPlugin(settings), "membudget-not-enforced")


def _register_enforcing(config: pytest.Config, settings: Settings, *, is_off: bool) -> None:
    from .marker_check import MarkerCheck
    from .reporting import NotMeasuringPlugin, ReportingPlugin, run_of

    register = config.pluginmanager.register
    try:
        run = run_of(config, settings)
    except InvalidOptionError as error:
        raise pytest.UsageError(str(error)) from error
    register(MarkerCheck(config, run), "membudget-markers")
    if is_off:
        register(NotMeasuringPlugin(config, run), "membudget-measuring")
        return
    from .measuring import MeasuringPlugin

    _see_own_allocators(config, settings)
    register(MeasuringPlugin(config, run), "membudget-measuring")
    register(ReportingPlugin(config, run), "membudget-reporting")
    if settings.needs_sources:
        from .suggesting import SuggestingPlugin

        register(SuggestingPlugin(config, run), "membudget-suggesting")


def _file_name(config: pytest.Config) -> str:
    return config.inipath.name if config.inipath else "ini file"


def _from_file(config: pytest.Config, option: Option) -> object:
    try:
        return config.getini(option.name)
    except (TypeError, ValueError, pytest.UsageError) as error:  # pytest checks types itself
        raise InvalidOptionError(f"{_file_name(config)}: {option.name}: {error}") from error


def _check_verbosity(config: pytest.Config) -> None:
    value = str(config.getini(VERBOSITY))
    if value != "auto" and not re.fullmatch(r"-?\d+", value):
        raise pytest.UsageError(f"{VERBOSITY}: {value!r} is not 'auto' or a whole number")
