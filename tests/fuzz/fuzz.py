"""Fuzzes the C code of the core with damaged captures, under AddressSanitizer.

    uv run python tests/fuzz/fuzz.py --inputs 1000000

Needs gcc or clang with its sanitizers. Writes captures of random programs, builds
``fuzz_scanner.c`` with the code under ``packages/core/csrc``, and lets it mutate them and read
them with and without enough memory; a finding ends it with a report.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "packages/core/csrc"
sys.path.insert(0, str(HERE.parent / "core/recording"))

from captures import capture_of  # noqa: E402
from programs import Machine, Operation  # noqa: E402

FLAGS = [
    "-std=gnu11",
    "-O1",
    "-g",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
]
C_SOURCES = (
    "scanner",
    "curve",
    "live_memory",
    "block_stacks",
    "stack_tree",
    "interned",
    "line_table",
    "block_writer",
    "capture_copy",
    "capture_decoder",
)
OPERATIONS = [
    "malloc",
    "realloc_large",
    "free",
    "realloc",
    "race",
    "mmap",
    "munmap",
    "open",
    "open_thread_only",
    "close",
]
OPERATIONS += ["suspend", "go_on", "make", "unmake", "work", "break_off"]


def write_captures(directory: Path, n_captures: int) -> list[Path]:
    """Write captures of random programs."""
    paths = []
    for seed in range(n_captures):
        chance = random.Random(seed)
        program: list[Operation] = [
            (
                chance.choice(OPERATIONS),
                chance.randint(1, 3),
                chance.randint(0, 40),
                chance.randint(0, 8),
            )
            for _ in range(chance.randint(5, 60))
        ]
        machine = Machine()
        machine.run(program)
        paths.append(directory / f"{seed}.bin")
        events = machine.events if seed % 3 == 0 else None
        native = seed % 4 == 0
        paths[-1].write_bytes(capture_of(machine.records, native=native, seed=seed, events=events))
    return paths


def build(directory: Path) -> Path:
    """Build the fuzzer."""
    program = directory / "fuzz_scanner"
    sources = [
        HERE / "fuzz_scanner.c",
        *(SOURCES / f"{name}.c" for name in C_SOURCES),
    ]
    compiler = os.environ.get("CC", "gcc")
    subprocess.run([compiler, *FLAGS, f"-I{SOURCES}", *sources, "-o", program], check=True)
    return program


def main() -> None:
    """Build, and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        captures = write_captures(Path(directory), 64)
        program = build(Path(directory))
        done = subprocess.run([program, str(given.seed), str(given.inputs), *captures])
    raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
