"""A Django project whose tests pytest-django runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Pytest

SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
"""
MODELS = """
from django.db import models

class Order(models.Model):
    number = models.IntegerField()
"""
TESTS = """
import pytest
from django.test import SimpleTestCase, TestCase, TransactionTestCase
from membudget import limit_memory
from shop.models import Order

class Simple(SimpleTestCase):
    @pytest.mark.limit_memory("1 MB")
    def test_within(self): ...
    @pytest.mark.limit_memory("1 MB")
    def test_over(self): data = bytearray(10_000_000)
    @pytest.mark.limit_memory("1 MB")
    async def test_over_async(self): data = bytearray(10_000_000)
    @limit_memory("1 MB")
    def test_over_decorated(self): data = bytearray(10_000_000)
    def test_free(self): data = bytearray(10_000_000)

class Database(TestCase):
    @classmethod
    def setUpTestData(cls): cls.order = Order.objects.create(number=1)
    @pytest.mark.limit_memory("9 MB")
    def test_within(self):
        Order.objects.create(number=2)
        assert Order.objects.count() == 2
    @pytest.mark.limit_memory("1 MB", include="setup,call,teardown")
    def test_over_phases(self): data = bytearray(10_000_000)
    @pytest.mark.limit_memory("1 MB", stable=True)
    def test_over_stable(self):
        assert Order.objects.count() == 1
        data = bytearray(10_000_000)

@limit_memory("9 MB")
class OnClass(TransactionTestCase):
    def test_over(self): data = bytearray(10_000_000)
    def test_within(self): assert not Order.objects.exists()

@pytest.mark.django_db
@pytest.mark.limit_memory("9 MB")
def test_over_in_function():
    assert not Order.objects.exists()
    data = bytearray(10_000_000)
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=" ".join)
def test_every_test_is_measured(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    runner = Pytest(tmp_path)
    runner.plugins.append("django")
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "__init__.py").touch()
    (shop / "models.py").write_text(MODELS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nDJANGO_SETTINGS_MODULE = settings\n")
    runner.write(settings=SETTINGS, test_shop=TESTS)

    ran = runner.run("--memray", *arguments)

    ran.counts(failed=7, passed=4)
    over = {line for line in ran.lines if line.startswith("MEMORY PROBLEMS")}
    assert len(over) == 7
    assert all("test_over" in line for line in over)
    assert "Measured 11 tests, shown 5: --most-allocations=0 shows all" in ran.lines
    # A default limit, for what has none of its own.
    ran = runner.run("--memray", "--memray-default-limit=1 MB", *arguments)
    ran.counts(failed=8, passed=3)
