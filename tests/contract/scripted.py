"""Runs scenarios as ``with`` blocks or as decorated functions: a program of its own.

Takes how to run them, and the scenarios as JSON on its standard input; prints what came of each, as
JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from typing import Any

import membudget
import workloads
from membudget import Measurement, MemoryLimitExceeded, NotRaisedWarning, decorating
from membudget.plain_data import coder_of
from membudget.runs import Block

MEASUREMENT = coder_of(Measurement)


def main() -> None:
    # If the body of a block raises as well, the budget is only a note on its exception.
    warnings.simplefilter("ignore", NotRaisedWarning)
    run = {"with": run_with, "decorator": run_decorated}[sys.argv[1]]
    outcomes = {one["name"]: outcome_of(run, one) for one in json.load(sys.stdin)}
    print(json.dumps(outcomes))


def outcome_of(run: Any, scenario: dict[str, Any]) -> dict[str, Any]:
    """Run one scenario; return what its user gets."""
    outcome: dict[str, Any] = {"result": "passed", "type": "", "text": "", "measurement": None}
    blocks: list[Block] = []
    workloads.prepare(scenario["workload"], warm_up=not scenario["calls_twice"])
    try:
        run(scenario, blocks)
    except Exception as error:
        outcome["type"] = type(error).__name__
        outcome["result"] = "failed" if isinstance(error, MemoryLimitExceeded) else "error"
        outcome["text"] = "\n".join([str(error), *getattr(error, "__notes__", [])])
    if blocks and blocks[-1].measurement:  # the last one decides, if a stable call ran twice
        outcome["measurement"] = MEASUREMENT.to_data(blocks[-1].measurement)
    return outcome


def run_with(scenario: dict[str, Any], blocks: list[Block]) -> None:
    block = limiter_of(scenario, getattr(membudget, scenario["limiter"]))
    blocks.append(block)
    workload = getattr(workloads, scenario["workload"])
    if not scenario["asynchronous"]:
        with block:
            workload()
        return

    async def run() -> None:
        with block:
            await workload()

    asyncio.run(run())


def run_decorated(scenario: dict[str, Any], blocks: list[Block]) -> None:
    def watched(*args: Any, **kwargs: Any) -> Block:
        """Make the block of a call, and keep it: only the decorator has it."""
        blocks.append(Block(*args, **kwargs))
        return blocks[-1]

    decorating.Block = watched  # type: ignore[assignment,attr-defined]
    workload = getattr(workloads, scenario["workload"])
    decorate = limiter_of(scenario, getattr(membudget, scenario["limiter"]))

    def run() -> None:
        workload()

    async def run_async() -> None:
        await workload()

    # A failure names the function: let it be the same name for every scenario.
    run.__qualname__ = run_async.__qualname__ = "run"
    if scenario["asynchronous"]:
        asyncio.run(decorate(run_async)())
    else:
        decorate(run)()


def limiter_of(scenario: dict[str, Any], limiter: Any) -> Any:
    """Make the limiter, with arguments that are written as Python code."""
    return eval(f"limiter({scenario['limit']})", {"limiter": limiter})


if __name__ == "__main__":
    main()
