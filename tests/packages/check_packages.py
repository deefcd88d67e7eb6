"""Checks built packages: that they hold what they should, and nothing else.

    uv build --out-dir dist packages/core           # for each of the three packages
    python tests/packages/check_packages.py dist

A wheel must hold the modules and data of its package, its license and its metadata; the source
distribution what is committed in the directory of the package. The C extensions are optional in a
build, so a wheel without them would go unnoticed without this check.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
EXTENSIONS: Final = {"_marks", "_scanner", "_tracemalloc"}
IN_DIST_INFO: Final = {
    "METADATA",
    "RECORD",
    "WHEEL",
    "entry_points.txt",
    "licenses/LICENSE",
    "top_level.txt",
}
MADE_FOR_SDIST: Final = {"PKG-INFO", "setup.cfg"}


class Project:
    """The directory of a package.

    Attributes:
        directory: the directory.
        stem: the start of the file names of its distributions, such as ``membudget-0.1.0``.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        about = tomllib.loads((directory / "pyproject.toml").read_text())["project"]
        self.stem = f"{about['name'].replace('-', '_')}-{about['version']}"

    def committed(self, below: str = ".") -> set[str]:
        """Return the paths of the files in git, relative to a directory of the package."""
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=self.directory / below, capture_output=True, check=True
        )
        return set(listed.stdout.decode().split("\0")) - {""}

    def problems_of_sdist(self, file: Path) -> Iterator[str]:
        """Yield what is wrong with a source distribution."""
        with tarfile.open(file) as archive:
            names = {member.name for member in archive if member.isfile()}
        held = {name.removeprefix(f"{self.stem}/") for name in names}
        held = {name for name in held if ".egg-info/" not in name}
        yield from _differences(held, self.committed() | MADE_FOR_SDIST)

    def problems_of_wheel(self, file: Path) -> Iterator[str]:
        """Yield what is wrong with a wheel."""
        with zipfile.ZipFile(file) as archive:
            held = set(archive.namelist())
            metadata = BytesParser().parsebytes(archive.read(f"{self.stem}.dist-info/METADATA"))
        wanted = self.committed("src") | {f"{self.stem}.dist-info/{one}" for one in IN_DIST_INFO}
        compiled = {name for name in held if name.endswith(".so")}
        # auditwheel and delocate add lists of their own.
        yield from _differences(
            {name for name in held - compiled if ".dist-info/sboms/" not in name}, wanted
        )
        extensions = {name.rpartition("/")[2].partition(".")[0] for name in compiled}
        if extensions != (EXTENSIONS if (self.directory / "csrc").exists() else set()):
            yield f"its C extensions are {', '.join(sorted(extensions)) or 'missing'}"
        yield from _problems_of_metadata(metadata)


def _differences(held: set[str], wanted: set[str]) -> Iterator[str]:
    yield from (f"{name} is missing" for name in sorted(wanted - held))
    yield from (f"{name} does not belong in it" for name in sorted(held - wanted))


def _problems_of_metadata(metadata: Message) -> Iterator[str]:
    for name in ("Summary", "Keywords", "Requires-Python", "License-Expression", "License-File"):
        if not metadata[name]:
            yield f"its metadata has no {name}"
    if "Typing :: Typed" not in metadata.get_all("Classifier", ()):
        yield "its metadata does not say that it has types"


def check(dist: Path) -> list[str]:
    """Return what is wrong with the distributions in a directory; all three must be there."""
    problems = []
    unknown = set(dist.iterdir()) - set(dist.glob(".*"))
    for directory in sorted((REPOSITORY / "packages").iterdir()):
        project = Project(directory)
        sdists = list(dist.glob(f"{project.stem}.tar.gz"))
        wheels = list(dist.glob(f"{project.stem}-*.whl"))
        for kind, files in (("source distribution", sdists), ("wheel", wheels)):
            if not files:
                problems.append(f"{project.stem}: there is no {kind}")
        unknown -= {*sdists, *wheels}
        for file in sdists:
            problems += [f"{file.name}: {one}" for one in project.problems_of_sdist(file)]
        for file in wheels:
            problems += [f"{file.name}: {one}" for one in project.problems_of_wheel(file)]
    return problems + [f"{file.name} belongs to no package" for file in sorted(unknown)]


if __name__ == "__main__":
    found = check(Path(sys.argv[1]))
    print(*found or ["The packages hold what they should."], sep="\n")
    raise SystemExit(bool(found))
