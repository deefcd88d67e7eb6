"""Runs Python programs in children of a process that has imported the large libraries already.

Most tests run a program of their own, and such a program takes a second: nearly all of that is
the import of pytest, memray and what these import. So each process that runs tests starts one
server. For a program the server forks a child, which gets the arguments, the environment, the
directory and the standard files of that program, runs it, and ends as an interpreter ends: with its
exit functions, and the clearing of its own modules and of membudget's.

The server starts no tracker and no thread. So a child differs from a new interpreter in this alone:
the modules of :data:`IMPORTED` and what they import are in ``sys.modules``, and the garbage
collector passes over them; the hash of a text is the same in all children; and a stack has one
frame of this file at its bottom. A test to which this makes a difference asks ``run_python_in`` for
a fresh interpreter.

A second server has imported membudget and pytest-xdist as well, for programs that import membudget
before they do anything else: those that only run pytest or unittest with it, and those that begin
with its import.

On Linux, the workers that pytest-xdist starts in a child are forked too, by a process that was
forked when the child had run nothing: :func:`fork_workers`. They differ from new interpreters as
children do, and that process is their parent.
"""

from __future__ import annotations

import ast
import atexit
import builtins
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, Final

# Not xdist and anyio, which pytest warns of when they were imported before it loads them.
IMPORTED: Final = [
    *("pytest", "memray", "memray.reporters.module_tools", "rich.table", "execnet"),
    *("asyncio", "doctest", "unittest.main", "unittest.mock", "tomllib"),
]

MEMBUDGET: Final = [
    *("membudget.recording.recorder", "membudget.decorating", "pytest_membudget.plugin"),
    *("pytest_membudget.measuring", "pytest_membudget.reporting", "unittest_membudget.runner"),
    *("xdist.plugin", "xdist.looponfail"),
]
"""What the second server has imported as well, in the way in which pytest imports its plugins."""

# What a run of tests may be asked for in the second server. Other plugins can be imported, and
# replace functions, before membudget.
RUNNERS: Final = ("pytest", "unittest_membudget")
PLUGINS: Final = ("membudget", "xdist", "no:cacheprovider", "no:terminal")

# Python and its C library read these when they start.
READ_AT_START: Final = ("PYTHON", "LD_", "MALLOC_", "GLIBC_", "LANG", "LC_")
OF_A_CHILD: Final = ("PYTHONPATH",)


def can_run(arguments: tuple[str, ...], environment: dict[str, str]) -> bool:
    """Whether a child can run ``python arguments``: of Python's options, it knows ``-W``.

    Args:
        arguments: what follows ``python``.
        environment: the variables that the program has and the server lacks.
    """
    of_python = [name for name in environment if name.startswith(READ_AT_START)]
    kind = without_filters(arguments)[0]
    known = not kind.startswith("-") or kind in ("-m", "-c")
    return hasattr(os, "fork") and known and not set(of_python) - set(OF_A_CHILD)


def only_runs_tests(arguments: Sequence[str], environment: dict[str, str]) -> bool:
    """Whether ``python -m arguments`` runs pytest or unittest with no plugins but :data:`PLUGINS`.

    Args:
        arguments: what follows ``-m``.
        environment: all variables of the program.
    """
    options = [*environment.get("PYTEST_ADDOPTS", "").split(), *arguments]
    plugins = {name for option, name in pairwise([*options, ""]) if option == "-p"}
    plugins |= {option[2:] for option in options if option.startswith("-p") and option != "-p"}
    plugins |= {environment["PYTEST_PLUGINS"]} if "PYTEST_PLUGINS" in environment else set()
    loads_others = not environment.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    return arguments[0] in RUNNERS and plugins <= set(PLUGINS) and not loads_others


def begins_with_membudget(
    arguments: tuple[str, ...], directory: Path, environment: dict[str, str]
) -> bool:
    """Whether ``python arguments`` imports membudget before it does anything else.

    Args:
        arguments: what follows ``python``.
        directory: where it runs.
        environment: all variables of the program.
    """
    kind, *rest = without_filters(arguments)
    if kind == "-m":
        return only_runs_tests(rest, environment)
    try:
        text = rest[0] if kind == "-c" else (directory / kind).read_bytes()
        statements = ast.parse(text).body
    except (OSError, SyntaxError, ValueError):  # the program fails of itself
        return False
    for statement in statements:
        if isinstance(statement, ast.Import):
            packages = {name.name.partition(".")[0] for name in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            packages = {(statement.module or "").partition(".")[0]}
        else:
            return False
        if "membudget" in packages:
            return True
        if not packages <= sys.stdlib_module_names:
            return False
    return False


def without_filters(arguments: Sequence[str]) -> Sequence[str]:
    """Return the arguments after all ``-W filter``."""
    while arguments[0] == "-W":
        arguments = arguments[2:]
    return arguments


class ForkServer:
    """The server, as the process that runs tests sees it."""

    def __init__(
        self, options: list[str], environment: dict[str, str], membudget: bool = False
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *options, __file__, *(["membudget"] if membudget else [])],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # what was read ahead would not show in select()
        )
        atexit.register(self._stop)

    def run(
        self, arguments: tuple[str, ...], directory: Path, environment: dict[str, str], stdin: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as ``subprocess.run`` does, for at most two minutes."""
        with tempfile.TemporaryDirectory() as files:
            Path(files, "0").write_text(stdin, encoding="utf-8")
            request = [arguments, os.fspath(directory), environment, files]
            requests, answers = self._process.stdin, self._process.stdout
            assert requests is not None
            assert answers is not None
            requests.write(json.dumps(request).encode() + b"\n")
            child = int(answers.readline())
            in_time = select.select([answers], [], [], 120)[0]
            if not in_time:
                os.kill(child, signal.SIGKILL)
            returncode = int(answers.readline())
            stdout, stderr = (Path(files, n).read_text(encoding="utf-8") for n in "12")
        if not in_time:
            raise subprocess.TimeoutExpired(arguments, 120, stdout, stderr)
        return subprocess.CompletedProcess(arguments, returncode, stdout, stderr)

    def _stop(self) -> None:
        self._process.communicate()


def import_membudget() -> None:
    """Import the plugins of pytest with its import hook: it warns of others, and rewrites these."""
    rewriting = importlib.import_module("_pytest.assertion").install_importhook(
        importlib.import_module("_pytest.config").get_config()
    )
    rewriting.mark_rewrite("membudget", "pytest_membudget", "unittest_membudget", "xdist")
    for name in MEMBUDGET:
        importlib.import_module(name)
    sys.meta_path.remove(rewriting)


def membudget_starts() -> None:
    """Let the modules of :data:`MEMBUDGET` know this process: what they look up at their import."""
    if system := sys.modules.get("membudget.host.system"):
        system.Real.environment.clear()
        system.Real.environment.update(os.environ)
        system.Real.path = tuple(sys.path)
        origins = sys.modules["membudget.host.origins"]
        vars(origins)["_START_DIRECTORY"] = origins._start_directory()
        system.Real.started = time.time()
        sys.modules["xdist.plugin"]._sys_path[:] = sys.path  # what its workers get


def starts_workers(arguments: Sequence[str]) -> bool:
    """Whether ``python arguments`` is a pytest that may start workers of pytest-xdist."""
    known = hasattr(os, "pidfd_open") and "pytest" in arguments
    options = ("-n", "--numprocesses", "--tx", "--dist")
    return known and any(argument.startswith(options) for argument in arguments)


def read_at_start() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(READ_AT_START)}


class ForkedWorker:
    """A worker of pytest-xdist as execnet sees it, with what it uses of ``subprocess.Popen``."""

    def __init__(self, arguments: list[str], parent: int) -> None:
        stdin, writing = os.pipe()
        reading, stdout = os.pipe()
        request = json.dumps([arguments, os.getcwd(), {**os.environ}]).encode()
        with socket.socket(fileno=os.dup(parent)) as asking:
            socket.send_fds(asking, [request], [stdin, stdout, 2])
            pid = int(asking.recv(100))
        self._process = os.pidfd_open(pid)
        os.close(stdin)
        os.close(stdout)
        self.stdin, self.stdout = open(writing, "wb"), open(reading, "rb")

    def wait(self) -> None:
        select.select([self._process], [], [])

    def kill(self) -> None:
        signal.pidfd_send_signal(self._process, signal.SIGKILL)


def fork_workers() -> list[str]:
    """Fork a process that will fork the workers of this program.

    A worker with another interpreter, or with other variables that are read at the start, is
    started as without this.

    Returns:
        nothing in the program; in each worker its arguments.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork():
        theirs.close()
        execnet, parent = importlib.import_module("execnet.gateway_io"), ours.detach()
        start = read_at_start()

        class WorkerIO(execnet.Popen2IOMaster):  # type: ignore[misc, name-defined]
            def __init__(self, arguments: list[str], execmodel: Any) -> None:
                if arguments[0] != sys.executable or read_at_start() != start:
                    super().__init__(arguments, execmodel)
                    return
                self.popen = ForkedWorker(arguments[arguments.index("-c") :], parent)
                files = (self.popen.stdin, self.popen.stdout)
                execnet.Popen2IO.__init__(self, *files, execmodel=execmodel)

        execnet.Popen2IOMaster = WorkerIO  # type: ignore[attr-defined]
        return []
    ours.close()
    while True:
        request, files, *_ = socket.recv_fds(theirs, 1 << 20, 3)
        if not request:
            os._exit(0)
        if (child := os.fork()) == 0:
            break
        theirs.send(b"%d" % child)
        for file in files:
            os.close(file)
    theirs.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    # xdist gives its workers none of Python's options, but for -u.
    sys.stderr.reconfigure(write_through=True)  # type: ignore[union-attr]
    sys.orig_argv[1 : sys.orig_argv.index(__file__)] = ["-u"]
    sys.warnoptions.clear()
    filters = [one for one in warnings.filters if one[0] != "error"]
    warnings.resetwarnings()
    warnings.filters += filters  # type: ignore[operator]
    arguments, directory, environment = json.loads(request)
    become(directory, environment)
    return [*arguments]


def become(directory: str, environment: dict[str, str]) -> None:
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)


def spare(modules: dict[str, ModuleType]) -> None:
    """Let the end of a child clear only its own modules and membudget's, and not ``modules``.

    To clear these copies most of the memory that the child shares with the server, and takes longer
    than many programs.
    """
    for name, module in modules.items():
        if "membudget" not in name and sys.modules.get(name) is module:
            del sys.modules[name]


def next_program() -> Callable[[], object]:
    """Serve; return in each child, with what runs its program."""
    spared: dict[str, Any] = {}
    atexit.register(spare, spared)  # the first that is registered is the last that is called
    plugins = importlib.import_module("_pytest.config").default_plugins
    for name in [*IMPORTED, *(f"_pytest.{plugin}" for plugin in plugins)]:
        importlib.import_module(name)
    # Collections in a child pass over what is set aside here: to look at it would copy it, and to
    # free it when the child ends takes longer than most programs run. A child does not count it.
    frozen, count = 0, gc.get_freeze_count
    gc.get_freeze_count = lambda: max(0, count() - frozen)
    if sys.argv[1:] == ["membudget"]:
        import_membudget()
    spared.update(sys.modules)
    spared[""] = spared  # a cycle that is set aside is never freed
    gc.collect()
    gc.freeze()
    frozen = count()
    while True:
        request = b""
        while not request.endswith(b"\n"):
            request += (received := os.read(0, 1 << 16))
            if not received:
                sys.exit()
        if (child := os.fork()) == 0:
            break
        os.write(1, b"%d\n" % child)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    arguments, directory, environment, files = json.loads(request)
    for number in range(3):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        opened = os.open(f"{files}/{number}", flags)
        os.dup2(opened, number)
        os.close(opened)
    become(directory, environment)
    if starts_workers(arguments):
        arguments = fork_workers() or arguments
    sys.orig_argv[sys.orig_argv.index(__file__) :] = arguments
    kind, *rest = program = without_filters(arguments)
    filters = arguments[1 : len(arguments) - len(program) : 2]
    sys.warnoptions += filters
    warnings._processoptions(filters)  # type: ignore[attr-defined]
    path = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    main = sys.modules["__main__"] = ModuleType("__main__")
    vars(main)["__builtins__"] = builtins
    if kind == "-m":
        sys.argv, sys.path[:1] = ["-m", *rest[1:]], [os.getcwd(), *path]
    elif kind == "-c":
        sys.argv, sys.path[:1] = ["-c", *rest[1:]], ["", *path]
        source, name = rest[0].encode(), "<string>"
    else:
        name = main.__file__ = os.path.abspath(kind)
        sys.argv, sys.path[:1] = [*program], [os.path.dirname(os.path.realpath(name)), *path]
        source = Path(name).read_bytes()
    membudget_starts()
    if kind == "-m":
        return functools.partial(runpy._run_module_as_main, rest[0])  # type: ignore[attr-defined]
    # Nothing but the program itself holds its names: they go when it ends.
    return functools.partial(exec, compile(source, name, "exec", dont_inherit=True), vars(main))


if __name__ == "__main__":
    try:
        next_program()()  # not in a function, which were one more frame in every stack
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        # What the program raises is shown without the frame of this file.
        below = error.__traceback__ and error.__traceback__.tb_next
        sys.excepthook(type(error), error.with_traceback(below), below)
        sys.exit(1)
