"""Which modules the code in a file belongs to, however it was loaded."""

from __future__ import annotations

import importlib
import importlib.util
import os
import posixpath
import py_compile
import subprocess
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import run_python_in
from membudget import Frame, Scope
from membudget.stack_filter import StackFilter

SHOP = """
import dataclasses, functools
def load(n):
    return bytearray(n)
class Order:
    def export(self):
        return bytearray(1)
@dataclasses.dataclass
class Item:
    price: int
@functools.wraps(load)
def cached(n):
    return n
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on the path, from which the module shop can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def frame_of(function: Any) -> Frame:
    return Frame(function.__name__, function.__code__.co_filename, 1)


def counts(function: Any, only: str) -> bool:
    return StackFilter(Scope(only=(only,))).keeps([(frame_of(function),)]) == [True]


def compiled_elsewhere(source: Path, to: Path) -> None:
    py_compile.compile(str(source), str(to), dfile="/build/elsewhere/shop.py", doraise=True)
    source.unlink()


def test_a_compiled_file_without_its_source(place: Path) -> None:
    """Its stacks name the path at which it was compiled."""
    (place / "source.py").write_text(SHOP)
    compiled_elsewhere(place / "source.py", place / "shop.pyc")
    shop = importlib.import_module("shop")
    assert frame_of(shop.load).filename == "/build/elsewhere/shop.py"
    assert counts(shop.load, "shop")
    assert counts(shop.Order.export, "shop.*")
    assert counts(shop.load, "/build/*")
    assert not counts(shop.load, "shops")


def test_a_compiled_file_with_only_a_class(place: Path) -> None:
    (place / "source.py").write_text("class Order:\n    @classmethod\n    def make(cls): pass\n")
    compiled_elsewhere(place / "source.py", place / "shop.pyc")
    shop = importlib.import_module("shop")
    assert counts(shop.Order.make.__func__, "shop")


@pytest.mark.parametrize("compiled", [False, True])
def test_a_module_in_a_zip_file(
    place: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    source, member = place / "source.py", place / ("shop.pyc" if compiled else "shop.py")
    source.write_text(SHOP)
    if compiled:
        compiled_elsewhere(source, member)
    else:
        source.rename(member)
    with zipfile.ZipFile(place / "app.zip", "w") as archive:
        archive.write(member, member.name)
    member.unlink()
    monkeypatch.syspath_prepend(place / "app.zip")
    shop = importlib.import_module("shop")
    assert "app.zip" in str(shop.__file__)
    assert counts(shop.load, "shop")


def test_a_namespace_package(place: Path) -> None:
    (place / "space").mkdir()
    (place / "space" / "shop.py").write_text(SHOP)
    shop = importlib.import_module("space.shop")
    for pattern in ("space", "space.*", "space.shop", "*.shop"):
        assert counts(shop.load, pattern)


def test_modules_that_are_frozen_into_python() -> None:
    """Also under another name than that of their code."""
    frame = Frame("join", "<frozen posixpath>", 1)
    for pattern in ("posixpath", "os.path", "os"):
        assert StackFilter(Scope(only=(pattern,))).keeps([(frame,)]) == [posixpath is os.path]


def test_a_module_that_exec_filled(place: Path) -> None:
    """Its code has the name that compile() was given, which may be no file."""
    module = types.ModuleType("shop")
    sys.modules["shop"] = module
    exec(compile(SHOP, "generated/from_template", "exec"), module.__dict__)
    assert counts(module.load, "shop")
    # What dataclasses make is in no file, and of many modules.
    assert module.Item.__init__.__code__.co_filename == "<string>"
    assert not counts(module.Item.__init__, "shop")


def test_functions_from_cells_of_a_notebook(place: Path) -> None:
    """In a notebook, each cell is a file of its own."""
    module = types.ModuleType("notebook")
    sys.modules["notebook"] = module
    for cell in ("/tmp/kernel/1.py", "/tmp/kernel/2.py"):
        exec(compile("def load(): pass", cell, "exec"), module.__dict__)
        assert frame_of(module.load).filename == cell
        assert counts(module.load, "notebook")


def test_a_function_made_by_a_decorator_belongs_to_the_decorator(place: Path) -> None:
    """functools.wraps gives it the name of the other module."""
    (place / "tools.py").write_text(
        "import functools\n"
        "def logged(function):\n"
        "    @functools.wraps(function)\n"
        "    def call(*a):\n"
        "        return function(*a)\n"
        "    return call\n"
    )
    (place / "source.py").write_text(f"import tools\n{SHOP}\nload = tools.logged(load)\n")
    compiled_elsewhere(place / "source.py", place / "shop.pyc")
    shop = importlib.import_module("shop")
    assert shop.load.__module__ == "shop"
    assert not counts(shop.load, "shop")
    assert counts(shop.load, "tools")


@pytest.mark.parametrize("compiled", [False, True])
def test_a_module_that_is_removed_before_the_block_ends(place: Path, compiled: bool) -> None:
    """As in tests that import a module again."""
    folder = place / "not_on_the_path"
    folder.mkdir()
    path = folder / ("shop.pyc" if compiled else "shop.py")
    (folder / "source.py").write_text(SHOP)
    if compiled:
        compiled_elsewhere(folder / "source.py", path)
    else:
        (folder / "source.py").rename(path)
    spec = importlib.util.spec_from_file_location("plugins.shop", path)
    assert spec is not None
    assert spec.loader is not None
    shop = importlib.util.module_from_spec(spec)
    sys.modules["plugins.shop"] = shop
    spec.loader.exec_module(shop)
    stack_filter = StackFilter(Scope(only=("plugins",)))
    del sys.modules["plugins.shop"]
    assert stack_filter.keeps([(frame_of(shop.load),)]) == [True]


def test_a_module_that_was_reloaded(place: Path) -> None:
    (place / "shop.py").write_text(SHOP)
    shop = importlib.import_module("shop")
    old = shop.load
    stack_filter = StackFilter(Scope(only=("shop",)))
    new = importlib.reload(shop).load
    assert stack_filter.keeps([(frame_of(old),), (frame_of(new),)]) == [True, True]


def test_several_modules_with_the_same_name(place: Path) -> None:
    """Such as the conftest.py of two directories."""
    functions = []
    for name in ("a", "b"):
        (place / name).mkdir()
        (place / name / "shop.py").write_text(SHOP)
        spec = importlib.util.spec_from_file_location("shop", place / name / "shop.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["shop"] = module
        spec.loader.exec_module(module)
        functions.append(module.load)
        assert counts(module.load, "shop")
    assert counts(functions[0], "shop")


def test_paths_through_symbolic_links(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editable install, say: the pattern may name either path."""
    (place / "real").mkdir()
    (place / "real" / "shop.py").write_text(SHOP)
    (place / "link").symlink_to(place / "real")
    monkeypatch.syspath_prepend(place / "link")
    shop = importlib.import_module("shop")
    assert shop.__file__ == f"{place}/link/shop.py"
    for pattern in ("shop", "link/*", "real/*", f"{os.path.realpath(place)}/real/*"):
        assert counts(shop.load, pattern)


def test_a_working_directory_that_changes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths are those of the block's start; the directory may even be removed."""
    (place / "lib").mkdir()
    (place / "gone").mkdir()
    (place / "lib" / "shop.py").write_text(SHOP)
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend("lib")
    frame = Frame("load", "lib/shop.py", 1)  # as compile() was given it
    filters = [StackFilter(Scope(only=(one,))) for one in ("shop", f"{place}/lib/*", "lib/*")]
    monkeypatch.chdir(place / "gone")
    (place / "gone").rmdir()
    for stack_filter in filters:
        assert stack_filter.keeps([(frame,)]) == [True]
    assert StackFilter(Scope(only=("json",))).keeps([(frame,)]) == [False]


def test_unusual_entries_of_the_path_and_of_sys_modules(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python ignores them, and so do patterns."""
    (place / "shop.py").write_text(SHOP)
    monkeypatch.syspath_prepend(place)
    shop = importlib.import_module("shop")
    # After the import: coverage.py looks at the path when a new file runs, and fails on these.
    monkeypatch.setattr(sys, "path", [None, 3, *sys.path])
    monkeypatch.setitem(sys.modules, "odd", None)
    monkeypatch.setitem(sys.modules, "odder", object())
    assert counts(shop.load, "shop")


def test_a_virtual_environment(tmp_path: Path) -> None:
    """The documented pattern of an installed package, whatever the base interpreter has."""
    environment = tmp_path / "venv"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=120
    )
    site = next(environment.glob("lib/python*/site-packages"))
    (site / "agent").mkdir()
    (site / "agent" / "__init__.py").write_text("def trace():\n    return bytes(5_000_000)\n")
    # What is installed here is there as well: membudget, memray.
    paths = "\n".join(entry for entry in sys.path if entry)
    (site / "all.pth").write_text(paths)
    program = """
import agent
from membudget import limit_memory, measure_memory
with limit_memory("1 MB", ignore="*/site-packages/agent/*"):
    agent.trace()
with measure_memory(only="*/site-packages/agent/*") as memory:
    agent.trace()
    other = bytearray(1_000_000)
assert memory.peak_bytes == 5_000_033, memory.peak_bytes
"""
    done = subprocess.run(
        [environment / "bin" / "python", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_a_limit_on_a_compiled_package(tmp_path: Path) -> None:
    """Over the limit in a block, and when it runs as ``__main__``."""
    (tmp_path / "source.py").write_text(
        "from membudget import limit_memory\n"
        "def load():\n"
        "    return bytearray(10_000_000)\n"
        "def check():\n"
        "    with limit_memory('1 MB', only='shop'):\n"
        "        load()\n"
        "if __name__ == '__main__':\n"
        "    check()\n"
    )
    compiled_elsewhere(tmp_path / "source.py", tmp_path / "shop.pyc")
    for arguments in (("-c", "import shop; shop.check()"), ("-m", "shop")):
        done = run_python_in(tmp_path, *arguments)
        assert "Block was limited to 1.0MiB but allocated 9.5MiB" in done.stderr, done.stderr
