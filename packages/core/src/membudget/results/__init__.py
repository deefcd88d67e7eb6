"""Results as data: the files of runs, and what is made of them."""

from ..errors import NotReplacedWarning, RunFileError
from .environment import Environment
from .run_file import SCHEMA, RunFile, read_run, write_run

__all__ = [
    "SCHEMA",
    "Environment",
    "NotReplacedWarning",
    "RunFile",
    "RunFileError",
    "read_run",
    "write_run",
]
