"""The tracing agent's memory counts in no test. Run: pytest --memray suite"""

from __future__ import annotations

import pytest
import tracing_agent


@pytest.mark.limit_memory("3 MB")
def test_with_the_agent() -> None:
    tracing_agent.record(10_000_000)
    assert bytearray(1_000_000)
