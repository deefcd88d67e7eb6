"""Workers of pytest-xdist in another interpreter, or on another machine (``--tx``)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest

_ASK = """
from importlib.metadata import PackageNotFoundError, version
try:
    channel.send(version("membudget"))
except PackageNotFoundError:
    channel.send("")
"""


def check_version(node: Any) -> None:
    """Refuse a worker that is about to start with another version of membudget.

    Its limits could be enforced in another way, and its results might not be readable.

    Args:
        node: the worker.

    Raises:
        pytest.UsageError: it has another version, or none.
    """
    spec = node.gateway.spec
    if spec.popen and not spec.python:
        return  # the same interpreter
    theirs, ours = node.gateway.remote_exec(_ASK).receive(), version("membudget")
    if theirs != ours:
        has = f"has membudget {theirs}" if theirs else "has no membudget"
        raise pytest.UsageError(
            f"the worker {node.gateway.id} ({spec}) {has}, but this process has membudget {ours}: "
            f"install the same version in both"
        )
