"""What pytest loads: the options, the marker, and the measuring when ``--memray`` is given."""

from __future__ import annotations

import importlib.util
import os

import pytest
from membudget import (
    OPTIONS,
    InvalidOptionError,
    enforcement_is_on,
    platform_is_supported,
    resolve,
)

from .budgets import MARKERS, MarkerCheck

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
        parser.addini(option.name, option.help, type="string", default=None)


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
            config={option.name: config.getini(option.name) for option in OPTIONS},
            command_line={option.name: config.getoption(option.name) for option in OPTIONS},
            config_name=str(config.inipath.name if config.inipath else "ini file"),
        )
    except InvalidOptionError as error:
        raise pytest.UsageError(str(error)) from error
    if not (settings.memray or settings.memray_enforce_markers == "always"):
        return
    from .measuring import MeasuringPlugin, NotMeasuringPlugin

    config.pluginmanager.register(MarkerCheck(config), "membudget-markers")
    measures = enforcement_is_on() and platform_is_supported()
    plugin = MeasuringPlugin(config, settings) if measures else NotMeasuringPlugin()
    config.pluginmanager.register(plugin, "membudget-measuring")
