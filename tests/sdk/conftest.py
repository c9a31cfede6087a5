"""What is tested here goes through the vendors' SDKs."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import Dialect, ScriptedServer


@pytest.fixture(name="orchestrate")
def orchestrate_sdk(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> Any:
    """Makes orchestrators whose provider goes through its SDK."""
    return partial(orchestrate, transport="sdk")
