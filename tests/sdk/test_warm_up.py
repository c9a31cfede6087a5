"""Getting ready while the application starts: the SDK imported, a connection open, nothing billed or raised."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from typing import Any, List, Optional, Tuple

import pytest

from llm_orchestrator import LLMOrchestrator, OrchestratorError
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.testing import FakeProvider
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import DIALECTS, KEY, MODEL, Dialect, ScriptedServer
from tests.support.scripted_server.places import refusing_url
from tests.support.scripted_server.replies import Reply, json_reply

SECONDS = 10.0  # that a thread may take before it counts as hanging


def warm_up(orchestrator: LLMOrchestrator) -> None:
    thread = orchestrator.warm_up()
    thread.join(SECONDS)
    assert not thread.is_alive()


@pytest.mark.parametrize("known", [True, False], ids=["model known", "model unknown"])
def test_the_first_call_uses_the_connection(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, known: bool
) -> None:
    server.script(json_reply({"id": MODEL}) if known else Reply(404), dialect.whole(text="Hello."))
    orchestrator = orchestrate()

    warm_up(orchestrator)
    assert orchestrator.send_request("Hi").content == "Hello."

    assert [request.method for request in server.requests] == ["GET", "POST"]
    assert len({request.connection for request in server.requests}) == 1
    assert orchestrator.cost_tracker.get_usage_report().total_requests == 1, "only the call is recorded"


def test_the_first_async_call_uses_the_connection(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(json_reply({"id": MODEL}), dialect.whole(text="Hello."))
    orchestrator = orchestrate()

    async def main() -> str:
        await orchestrator.awarm_up()
        return (await orchestrator.asend_request("Hi")).content

    assert asyncio.run(main()) == "Hello."
    assert len({request.connection for request in server.requests}) == 1


@pytest.mark.parametrize("fault", ["nobody there", "key refused"])
@pytest.mark.parametrize("way", ["sync", "async"])
def test_what_goes_wrong_is_a_warning(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    caplog: pytest.LogCaptureFixture,
    fault: str,
    way: str,
) -> None:
    server.script(dialect.error(401))
    with refusing_url() as nobody, caplog.at_level(logging.WARNING, "llm_orchestrator"):
        orchestrator = orchestrate(nobody if fault == "nobody there" else "")
        if way == "sync":
            warm_up(orchestrator)
        else:
            asyncio.run(orchestrator.awarm_up())

    (record,) = caplog.records
    assert "could not get ready" in record.getMessage()
    assert KEY not in caplog.text


def test_a_closed_orchestrator_does_not_get_ready(orchestrate: Orchestrate) -> None:
    orchestrator = orchestrate()
    orchestrator.close()
    with pytest.raises(OrchestratorError, match="closed"):
        orchestrator.warm_up()


def test_closing_meanwhile_leaves_no_connection(
    orchestrate: Orchestrate, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    orchestrators: List[LLMOrchestrator] = []

    def close_while_asked(request: Any) -> Reply:
        orchestrators[0].close()
        return Reply(404)

    server.script(close_while_asked)
    orchestrators.append(orchestrate())
    warm_up(orchestrators[0])
    assert server.wait_for_connections(0)
    assert not caplog.records


class UnwillingProvider(FakeProvider):
    """Fails in a way of its own to get ready, and closes its orchestrator before that, if it is told to."""

    orchestrator: Optional[LLMOrchestrator] = None
    closings = 0

    def model_request(self, model: str) -> WireRequest:
        if self.orchestrator is not None:
            self.orchestrator.close()
        raise KeyError(f"a fault that shows the key {KEY}")

    def close(self) -> None:
        self.closings += 1


def unwilling() -> Tuple[UnwillingProvider, LLMOrchestrator]:
    provider = UnwillingProvider()
    config = {"active_provider": "fake", "active_model": MODEL, "providers": {}}
    return provider, LLMOrchestrator(config, providers={"fake": provider})


def test_a_fault_of_the_provider_is_a_warning_too(caplog: pytest.LogCaptureFixture) -> None:
    _, orchestrator = unwilling()
    with orchestrator, caplog.at_level(logging.WARNING, "llm_orchestrator"):
        warm_up(orchestrator)
        asyncio.run(orchestrator.awarm_up())
    assert [record.getMessage().count("KeyError") for record in caplog.records] == [1, 1]
    assert KEY not in caplog.text


def test_what_is_made_after_closing_is_closed_though_it_failed(caplog: pytest.LogCaptureFixture) -> None:
    provider, orchestrator = unwilling()
    provider.orchestrator = orchestrator
    warm_up(orchestrator)
    assert provider.closings == 2, "by the orchestrator, and by who came later"
    assert not caplog.records, "nobody waits for it any more"


def test_a_program_may_end_meanwhile() -> None:
    entry = {"api_key": KEY, "base_url": "http://localhost:9"}
    config = {"active_provider": "openai", "active_model": MODEL, "providers": {"openai": entry}}
    program = f"from llm_orchestrator import LLMOrchestrator; LLMOrchestrator({config!r}).warm_up()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


FORKS = """
import os, sys
from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.calls import warm_up
warm_up.FORK_PATIENCE = 60  # a busy machine takes longer to import an SDK
orchestrator = LLMOrchestrator({config!r})
orchestrator.warm_up()
child = os.fork()
if not child:
    print(orchestrator.send_request("Hi").content, flush=True)
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""


SLOW_IMPORT = """
import importlib, os, sys, threading, time
from importlib import import_module
from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.calls import warm_up
from llm_orchestrator.providers import sdk
warm_up.FORK_PATIENCE = 0.01  # an import may take longer than the thread is waited for
importing = threading.Event()
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "openai":
            importing.set()
            time.sleep(1)
sys.meta_path.insert(0, Finder())
orchestrator = LLMOrchestrator({config!r})
threads = [orchestrator.warm_up()] if {warm} else [threading.Thread(target=lambda: orchestrator.send_request("Hi"))]
{warm} or threads[0].start()
importing.wait()
child = os.fork()
if not child:
    import openai
    print("imported" if hasattr(openai, "OpenAI") else "half", flush=True)
    os._exit(0)
threads[0].join()
sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks on this system")
@pytest.mark.parametrize("warm", [True, False], ids=["warm_up", "a call"])
def test_fd12_a_fork_waits_until_an_import_is_finished(server: ScriptedServer, warm: bool) -> None:
    dialect = DIALECTS["chat"]
    server.default = lambda request: Reply(404) if request.method == "GET" else dialect.whole(text="Hello.")
    program = SLOW_IMPORT.format(config=dialect.config(server.url, transport="sdk"), warm=warm)
    done = subprocess.run(
        [sys.executable, "-Wignore", "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "imported\n"), done.stderr


FIRST_CALL = """
import os, sys, threading, time
from llm_orchestrator import LLMOrchestrator
importing = threading.Event()
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            importing.set()
            time.sleep(1)
sys.meta_path.insert(0, Finder())
orchestrator = LLMOrchestrator({config!r})
thread = threading.Thread(target=lambda: orchestrator.send_request("Hi"))
thread.start()
importing.wait()
child = os.fork()
if not child:
    print(orchestrator.send_request("Hi").content, flush=True)
    os._exit(0)
thread.join()
sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks on this system")
@pytest.mark.parametrize(
    "module", ["calls.factory", "providers.openai_adapter", "providers.direct", "pricing.facts"]
)
def test_fd12_a_fork_waits_until_a_first_call_has_what_it_imports(
    server: ScriptedServer, module: str
) -> None:
    dialect = DIALECTS["chat"]
    server.default = dialect.whole(text="Hello.")
    config = dialect.config(server.url, transport="direct")
    program = FIRST_CALL.format(config=config, module=f"llm_orchestrator.{module}")
    done = subprocess.run(
        [sys.executable, "-Wignore", "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello.\n", "")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks on this system")
def test_a_fork_meanwhile_leaves_the_child_able_to_call(server: ScriptedServer, dialect: Dialect) -> None:
    def reply(request: Any) -> Reply:
        return Reply(404) if request.method == "GET" else dialect.whole(text="Hello.")

    server.script(reply, reply)
    program = FORKS.format(config=dialect.config(server.url))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "Hello.\n"), done.stderr
