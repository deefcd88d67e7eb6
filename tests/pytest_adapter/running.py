"""Running pytest on files, in a process of its own."""

from __future__ import annotations

from pathlib import Path

from conftest import REPOSITORY, run_python_in

WORKLOADS = str(REPOSITORY / "tests/contract")


class Ran:
    """What a run of pytest printed."""

    def __init__(self, returncode: int, stdout: str, stderr: str) -> None:
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr
        self.lines = stdout.splitlines()

    def counts(self, **expected: int) -> None:
        last = self.lines[-1]
        for name, number in expected.items():
            assert f"{number} {name}" in last, self.stdout + self.stderr


class Pytest:
    """Runs pytest on files in a directory.

    Attributes:
        plugins: which installed plugins are loaded.
        fresh: whether pytest runs in a new interpreter, which has imported nothing.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.plugins = ["membudget", "xdist"]
        self.fresh = False

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.directory / f"{name}.py").write_text(text)

    def run(self, *arguments: str, **environment: str) -> Ran:
        done = run_python_in(
            self.directory,
            *("-m", "pytest", "-p", "no:cacheprovider"),
            *arguments,
            environment={
                "PYTHONPATH": WORKLOADS,
                "PYTEST_ADDOPTS": " ".join(f"-p {name}" for name in self.plugins),
                **environment,
            },
            fresh=self.fresh,
        )
        return Ran(done.returncode, done.stdout, done.stderr)
