"""What the documents show is what the examples do."""

from __future__ import annotations

import doctest
import importlib
import json
import pkgutil
import re
from pathlib import Path

import membudget.runs
import pytest
import unittest_membudget
from conftest import REPOSITORY, run_python_in
from membudget import limit_words, unseen
from membudget.__main__ import COMMANDS
from membudget.recording import recorder
from membudget.report import markdown_page, page_data
from membudget.results import SCHEMA
from membudget.settings import OPTIONS, Option, Settings

README = (REPOSITORY / "README.md").read_text()
EXAMPLES = "\n".join(file.read_text() for file in (REPOSITORY / "docs/examples").rglob("*.py"))


def unindented(code: str) -> str:
    """Take the indentation away: a document may show what stands inside a function."""
    return "\n".join(line.strip() for line in code.strip().splitlines())


@pytest.mark.parametrize("document", [REPOSITORY / "README.md", *REPOSITORY.glob("docs/*.md")])
def test_code_in_documents_comes_from_an_example(document: Path) -> None:
    """Whoever copies from a document copies what a test has run."""
    for block in re.findall(r"```python\n(.*?)```", document.read_text(), re.S):
        assert unindented(block) in unindented(EXAMPLES), block


def test_the_readme_gives_the_commands_that_ci_runs() -> None:
    """One command sets up and runs the quickstart, one sets up and runs the tests."""
    commands = re.findall(r"```sh\n(.*?)```", README, re.S)
    assert len(commands) == 2
    assert all(command.count("\n") == 1 for command in commands)
    ci = (REPOSITORY / ".ci/run").read_text()
    assert all(command.strip() in ci for command in commands)


def test_links_in_documents_lead_somewhere() -> None:
    for document in [
        REPOSITORY / "README.md",
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("docs/*.md"),
    ]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document}: {target}"


def modules_with_examples() -> list[str]:
    found = []
    for package in (membudget, unittest_membudget):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.rpartition(".")[2] != "__main__":
                found.append(module.name)
    return found


DOCTESTS = """
import doctest, importlib, sys
module = importlib.import_module(sys.argv[1])
failed, tried = doctest.testmod(module)
sys.exit(failed)
"""


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_in_docstrings(name: str, tmp_path: Path) -> None:
    module = importlib.import_module(name)
    if any(test.examples for test in doctest.DocTestFinder().find(module)):
        done = run_python_in(tmp_path, "-c", DOCTESTS, name)
        assert done.returncode == 0, done.stdout + done.stderr


def row_of(option: Option) -> str:
    """Return the row of an option in the guide, which may have a link at its end."""
    value = f"={option.metavar}" if option.metavar else ""
    flag = option.flag + (f"[{value}]" if option.bare else value)
    default = "off" if option.default is False else option.text_of(option.default or "none")
    needs = " or ".join(f"`--{need.replace('_', '-')}`" for need in option.needs)
    only = f"; only with {option.only_for}" if option.only_for else ""
    names = f"`{flag}` | `{option.name}` | `{option.variable}`"
    return f"| {names} | {default} | {needs or '-'} | {option.help}{only}"


def test_the_guide_has_the_table_of_options() -> None:
    """All that is said of an option, as the table in the code has it, and in its order."""
    guide = (REPOSITORY / "docs/guide.md").read_text()
    rows = [line for line in guide.splitlines() if line.startswith("| `--")]
    without_links = [re.sub(r"( \(\[[^]]+\]\([^)]+\)\))? \|$", "", row) for row in rows]
    assert without_links == [row_of(option) for option in OPTIONS]


def test_every_name_for_adapters_is_described() -> None:
    """Whoever writes an adapter finds each name in its place."""
    text = (REPOSITORY / "docs/adapters.md").read_text()
    missing = [name for name in membudget.runs.__all__ if f"`{name}`" not in text]
    assert not missing


def test_every_command_is_described() -> None:
    page = (REPOSITORY / "docs/command-line.md").read_text()
    rows = re.findall(r"^\| `membudget (\w+)` \| (.*) \|$", page, re.M)
    assert rows == [(name, command.HELP) for name, command in COMMANDS.items()]


def test_the_page_shows_what_check_prints(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/command-line.md").read_text()
    (tmp_path / "tests").mkdir()
    limited = "@pytest.mark.limit_memory('4 MX')\ndef test_total(): ...\n"
    (tmp_path / "tests/test_orders.py").write_text(f"import pytest\n\n\n\n{limited}")
    done = run_python_in(tmp_path, "-m", "membudget", "check", "tests")
    assert f"```text\n{done.stdout}```" in page, done.stdout
    hooks = (REPOSITORY / ".pre-commit-hooks.yaml").read_text()
    assert re.search(r"```yaml\n.*id: membudget-check\n.*entry: membudget check", page, re.S)
    assert "id: membudget-check\n" in hooks


def test_every_key_of_a_run_file_is_described() -> None:
    text = re.sub(r"```.*?```", "", (REPOSITORY / "docs/run-file.md").read_text(), flags=re.S)
    schema = json.loads(SCHEMA.read_text())
    described = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))
    for one in (schema, *schema["$defs"].values()):
        assert set(one.get("properties", ())) <= described
    assert f"| `format` | {schema['properties']['format']['const']} |" in text


def test_every_option_that_keeps_figures_is_named() -> None:
    """With each of them, a stable test runs once before it is measured."""
    page = (REPOSITORY / "docs/stable.md").read_text()
    (named,) = re.findall(r"are kept or compared with others \((.*?)\)", page, re.S)
    keeping = {option.flag for option in OPTIONS if option.keeps_figures}
    assert set(re.findall(r"--[\w-]+", named)) == keeping


def test_numbers_of_the_documents_are_those_of_the_code() -> None:
    """Each sentence with a number that somebody can change in the code alone."""
    defaults = Settings()
    for page, sentence, expected, value in (
        ("html-report", "stacks for about 1,500 calls", 1_500, page_data.MOST_CALLS),
        ("html-report", "about the 60 most urgent tests", 60, page_data.N_EXPLAINED),
        ("reports", "shorter than 60,000 characters", 60_000, markdown_page.MOST_CHARACTERS),
        ("own-allocators", "than 32 MiB, and more than half", 32 << 20, unseen.UNEXPLAINED_BYTES),
        ("guide", "| `NEAR` | 95% of the limit or more", 95, limit_words.NEAR_PERCENT),
        ("guide", "| `LOOSE` | it is at least four times", 4, limit_words.LOOSE_FACTOR),
        ("guide", "at most 20 captures and 200 MB", 20, defaults.memray_evidence_count),
        ("guide", "at most 20 captures and 200 MB", 200 << 20, defaults.memray_evidence_size),
        ("performance", "`recorder.SEGMENT_BYTES` is 2 MB", 2_000_000, recorder.SEGMENT_BYTES),
        ("architecture", "larger than two megabytes", 2_000_000, recorder.SEGMENT_BYTES),
    ):
        assert sentence in (REPOSITORY / f"docs/{page}.md").read_text(), (page, sentence)
        assert expected == value, (page, sentence)


def test_plugins_that_the_questions_name_are_in_the_tests() -> None:
    page = (REPOSITORY / "docs/questions.md").read_text()
    (named,) = re.findall(r"The tests run it together with (.*?)\.\n", page, re.S)
    tests = "".join(file.read_text() for file in (REPOSITORY / "tests").glob("*_adapter/*.py"))
    for plugin in re.split(r",? and |, ", named.replace("\n", " ")):
        module = plugin.removeprefix("pytest-").replace("-", "_")
        assert re.search(rf"\b(pytest_)?{module}\b", tests), plugin
