"""What pytest loads: the options, the marker, and the measuring when ``--memray`` is given."""

from __future__ import annotations

import importlib.util
import os
import re
import warnings
from typing import Literal

import pytest
from membudget import (
    OPTIONS,
    InvalidOptionError,
    NotEnforcedWarning,
    Option,
    Run,
    enforcement_is_on,
    measuring_is_on,
    resolve,
)

from .budgets import MARKERS, MarkerCheck
from .not_enforced import NotEnforcedPlugin
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
    for option in OPTIONS:
        # The default is None: what was not given must not hide the ini file.
        if isinstance(option.default, bool):
            group.addoption(
                option.flag, action="store_true", default=None, dest=option.name, help=option.help
            )
        else:
            group.addoption(option.flag, metavar=option.metavar, dest=option.name, help=option.help)
        parser.addini(option.name, option.help, type=_ini_type(option), default=None)
    parser.addini(
        VERBOSITY,
        "How much of its allocations a test over its limit shows, instead of what -q and -v say",
        type="string",
        default="auto",
    )


def _ini_type(option: Option) -> Literal["bool", "int", "string"]:
    if isinstance(option.default, bool):
        return "bool"
    return "int" if isinstance(option.default, int) else "string"


def _pytest_memray_loads(pluginmanager: pytest.PytestPluginManager) -> bool:
    """Whether pytest-memray is loaded in this run, or will be after this plugin."""
    if pluginmanager.hasplugin("memray") or pluginmanager.hasplugin("pytest_memray"):
        return True
    if pluginmanager.is_blocked("memray") or os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        return False
    return importlib.util.find_spec("pytest_memray") is not None


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    try:
        settings = resolve(
            config={option.name: _from_file(config, option) for option in OPTIONS},
            command_line={option.name: config.getoption(option.name) for option in OPTIONS},
            config_name=_file_name(config),
        )
        is_on = enforcement_is_on()
    except InvalidOptionError as error:
        raise pytest.UsageError(str(error)) from error
    _check_verbosity(config)
    register = config.pluginmanager.register
    register(VerdictsPlugin(), "membudget-verdicts")
    if not (settings.memray or settings.memray_enforce_markers == "always"):
        _check_given_alone(config)
        if is_on:
            register(NotEnforcedPlugin(settings), "membudget-not-enforced")
        return
    with warnings.catch_warnings():
        # The report says so, and no filter of the user's makes an internal error of it.
        warnings.simplefilter("ignore", NotEnforcedWarning)
        measures = measuring_is_on()
    from .measuring import MeasuringPlugin
    from .reports import NotMeasuringPlugin, ReportingPlugin, kept_captures

    register(MarkerCheck(config, settings), "membudget-markers")
    if not measures:
        register(NotMeasuringPlugin(config, settings), "membudget-measuring")
        return
    try:
        run = Run(settings.most_allocations, kept_captures(config, settings))
    except InvalidOptionError as error:
        raise pytest.UsageError(str(error)) from error
    register(MeasuringPlugin(config, settings, run), "membudget-measuring")
    register(ReportingPlugin(config, settings, run), "membudget-reporting")


def _check_given_alone(config: pytest.Config) -> None:
    """Refuse options that would do nothing; in a file, they wait for a run with --memray."""
    for name in (
        "memray_default_limit",
        "memray_stable",
        "memray_include",
        "memray_margins",
        "memray_json",
        "memray_bin_path",
    ):
        if config.getoption(name) is not None:
            flag = next(option.flag for option in OPTIONS if option.name == name)
            raise pytest.UsageError(f"{flag} does nothing without --memray: give both")


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
