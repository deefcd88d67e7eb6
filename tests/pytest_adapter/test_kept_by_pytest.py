"""What pytest keeps of a test's doings is not what the test leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Pytest

# Each leaves 20 KB and more in pytest's hands. The first run, of a stable test, fills the caches.
TESTS = """
import logging
import sys
import unittest
import warnings
import pytest

logger = logging.getLogger("shop")
kept = []
stays = pytest.mark.limit_memory(retained="4 KB", stable=True)
leaks = pytest.mark.limit_leaks("2 KB")
def log():
    for n in range(200): logger.warning("order %s: " + "." * n, n)
def warn():
    for n in range(200): warnings.warn_explicit("." * n + str(n), UserWarning, "shop.py", n)

@stays
@leaks
def test_logs(): log()
@stays
@leaks
def test_caplog(caplog):
    log()
    assert caplog.records[7].args == (7,)
    assert "order 199" in caplog.text
@stays
@leaks
def test_prints(capsys):
    for n in range(1000): print("line", n)
@stays
@leaks
def test_warns(): warn()
@stays
@leaks
def test_records_warnings(recwarn):
    warn()
    assert str(recwarn[7].message) == "." * 7 + "7"
@stays
@leaks
@pytest.mark.anyio
async def test_async(): log()
class TestCase(unittest.TestCase):
    @stays
    @leaks
    def test_case(self): log()
@pytest.mark.limit_memory(retained="1 KB", stable=True)
def test_over_keeps_its_own():
    log()
    kept.append(bytearray(5000))
@leaks
def test_over_keeps_its_records(caplog):
    log()
    kept.extend(caplog.records)
"""


@pytest.mark.parametrize("arguments", [(), ("--capture=sys",), ("-n", "2")], ids=" ".join)
def test_records_output_and_warnings_are_not_leaks(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    runner = Pytest(tmp_path)
    runner.plugins.append("anyio")
    runner.write(
        test_it=TESTS,
        conftest="import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n",
    )
    ran = runner.run("--memray", "-W", "default", *arguments)
    ran.counts(failed=2, passed=7)
    over = [line for line in ran.lines if line.startswith("MEMORY PROBLEMS")]
    assert all("test_over" in line for line in over)


def test_nothing_of_it_is_lost(tmp_path: Path) -> None:
    """What pytest keeps is there for the report, for fixtures and for the warnings summary."""
    runner = Pytest(tmp_path)
    runner.write(
        test_it="""
import logging
import warnings
import pytest
@pytest.fixture
def checks(caplog):
    yield
    record, = caplog.get_records("call")
    assert (record.name, record.args, record.order) == ("shop", (5,), object)
    print("CHECKED")
@pytest.mark.limit_leaks("1 MB")
def test_fails(checks, capsys):
    logging.getLogger("shop").warning("order %s", 5, extra={"order": object})
    warnings.warn("STALE ORDER")
    print("PRINTED")
    print(capsys.readouterr().out + "AGAIN")
    assert 0
"""
    )
    ran = runner.run("--memray", "-W", "default")
    ran.counts(failed=1, warning=1)
    for text in ("CHECKED", "PRINTED", "AGAIN", "test_it.py:13 order 5", "STALE ORDER"):
        assert text in ran.stdout, ran.stdout
