"""The pytest plugin in a run of its own: what leaves the machine where nobody looks fails the test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

UNSEEN = """
import asyncio, socket, threading

def leave():
    socket.create_connection(("192.0.2.1", 443), timeout=1)

def test_on_a_thread(no_network):
    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()

def test_in_a_task(no_network):
    async def main():
        await asyncio.gather(asyncio.open_connection("192.0.2.1", 443), return_exceptions=True)
    asyncio.run(main())

def test_on_a_datagram_transport(no_network):
    async def main():
        loop = asyncio.get_running_loop()
        local = ("127.0.0.1", 0)
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=local)
        transport.sendto(b"metric", ("192.0.2.1", 8125))
        transport.close()
    asyncio.run(main())

def test_in_plain_sight(no_network):
    leave()
"""


@pytest.mark.slow
def test_what_fails_where_nobody_looks_fails_the_test(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["llm_orchestrator.testing.pytest_plugin"]\n')
    (tmp_path / "test_unseen.py").write_text(UNSEEN)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ended = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False)
    for unseen in ("on_a_thread", "in_a_task", "on_a_datagram_transport"):
        assert f"ERROR at teardown of test_{unseen}" in ended.stdout
    assert "1 failed, 3 passed" in ended.stdout and "3 errors" in ended.stdout, "what was seen is told once"
