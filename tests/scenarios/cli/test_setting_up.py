"""``init``, ``check``, ``models`` and ``price``: from nothing to a configuration that works."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional, Tuple

import pytest
import yaml

from llm_orchestrator import BaseLLMProvider, ConfigManager, ConfigurationError, LLMOrchestrator, providers
from tests.scenarios.cli.conftest import Command, configuration, without_its_key, write
from tests.support.scripted_server import DIALECTS, Dialect, ScriptedServer, refusing_url, silent_url
from tests.support.scripted_server.wire import KEY
from tests.support.small_adapter import SmallAdapter

CHAT = DIALECTS["chat"]
ALL = ("openai", "anthropic", "gemini", "ollama", "local")
VARIABLES = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "gemini": "GEMINI_API_KEY"}


@pytest.mark.parametrize("active", ALL)
def test_init_writes_a_configuration_that_loads(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, active: str
) -> None:
    others = [name for name in ALL if name != active]

    run = command("init", active, *others, "--model", "a: model # of mine")

    assert (run.code, run.out) == (0, "Wrote config.yaml.\n")
    assert "llm-orchestrator check" in run.err
    assert all(f"Set the variable {name}" in run.err for name in VARIABLES.values())
    for variable in VARIABLES.values():
        monkeypatch.setenv(variable, KEY)
    config = ConfigManager.load("config.yaml")
    assert list(config.providers) == [active, *others]
    assert (config.active_provider, config.active_model) == (active, "a: model # of mine")
    assert config.cost_tracking.log_path == "./llm_costs.csv"
    assert (folder / "config.yaml").read_text().count("#") > 10


@pytest.mark.parametrize(
    ("version", "has_model", "told", "not_told"),
    [
        ((3, 13), False, "Save a GGUF chat model as model.gguf; a small one: pip install", "needs Python"),
        ((3, 13), True, "Then:", "Save a GGUF"),
        ((3, 9), False, "local needs Python 3.10 or later", "pip install"),
    ],
)
def test_init_of_a_local_model_says_what_it_needs(
    command: Command,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: Tuple[int, int],
    has_model: bool,
    told: str,
    not_told: str,
) -> None:
    monkeypatch.setattr("llm_orchestrator.cli.init.sys", SimpleNamespace(version_info=version))
    if has_model:
        (folder / "model.gguf").touch()

    run = command("init", "local")

    assert run.code == 0 and told in run.err and not_told not in run.err


def test_init_never_replaces_a_file_unasked(command: Command, folder: Path) -> None:
    (folder / "config.yaml").write_text("mine")

    refused = command("init", "openai")
    assert refused.code == 2 and "--force" in refused.err
    assert (folder / "config.yaml").read_text() == "mine"

    assert command("init", "openai", "--force").code == 0
    assert yaml.safe_load((folder / "config.yaml").read_text())["active_provider"] == "openai"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "Pass one or more of openai"),
        (("opnai",), "Did you mean 'openai'?"),
        (("openai", "--file", "no/folder/config.yaml"), "cannot be written"),
    ],
)
def test_init_says_what_it_needs(command: Command, folder: Path, arguments: tuple, told: str) -> None:
    run = command("init", *arguments)

    assert run.code == 2 and told in run.err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "command_line",
    [("check",), ("models",), ("ask", "Hi"), ("chat",), ("costs",)],
    ids=lambda words: words[0],
)
def test_without_a_configuration_a_command_tells_how_to_get_one(
    command: Command, folder: Path, command_line: tuple
) -> None:
    run = command(*command_line)

    assert (run.code, run.out) == (2, "")
    assert "llm-orchestrator init" in run.err and "--config" in run.err


# ---------------------------------------------------------------------------------------- check


ENV_FILE = """# keys of this project
export THE_KEY="sk-env-12345678"   # of the team
THE_PATH='/v1'
UNUSED=1
SPACED = a b # c
"""


def variables(folder: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.setenv(name, "")  # so that it is gone again after the test
        monkeypatch.delenv(name)
    (folder / ".env").write_text(ENV_FILE)


def test_the_env_file_beside_the_configuration_is_used_and_said(
    command: Command, folder: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables(folder, monkeypatch, "THE_KEY", "THE_PATH", "UNUSED", "SPACED")
    entry = {
        "api_key": "${THE_KEY}",
        "base_url": f"{server.url}${{THE_PATH}}",
        "headers": {"x-a": "${SPACED}"},
    }
    config = configuration(server, CHAT, folder)
    config["providers"]["openai"].update(entry)
    write(folder, config)

    run = command("ask", "Hi")

    assert run.code == 0, run
    assert run.err.count("SPACED, THE_KEY, THE_PATH: taken from ") == 1 and "sk-env" not in run.err
    request = server.requests[-1]
    assert (request.headers["authorization"], request.headers["x-a"]) == ("Bearer sk-env-12345678", "a b")
    assert "UNUSED" not in os.environ


def test_what_is_set_counts_before_the_env_file(
    command: Command, folder: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables(folder, monkeypatch)
    monkeypatch.setenv("THE_KEY", "sk-set-12345678")
    config = configuration(server, CHAT, folder)
    config["providers"]["openai"]["api_key"] = "${THE_KEY}"
    write(folder, config)

    run = command("ask", "Hi")

    assert run.code == 0 and ".env" not in run.err
    assert server.requests[-1].headers["authorization"] == "Bearer sk-set-12345678"


def test_a_program_reads_no_env_file(
    folder: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables(folder, monkeypatch, "THE_KEY")
    config = configuration(server, CHAT, folder)
    config["providers"]["openai"]["api_key"] = "${THE_KEY}"
    write(folder, config)
    with pytest.raises(ConfigurationError, match="THE_KEY is not set"):
        LLMOrchestrator("config.yaml")


def test_check_reads_the_key_of_a_file(command: Command, folder: Path, server: ScriptedServer) -> None:
    (folder / "key").write_text("sk-file-12345678")
    config = configuration(server, CHAT, folder)
    del config["providers"]["openai"]["api_key"]
    config["providers"]["openai"]["api_key_file"] = "key"
    write(folder, config)

    assert command("check").code == 0
    assert server.requests[-1].headers["authorization"] == "Bearer sk-file-12345678"
    (folder / "key").unlink()
    run = command("check")
    assert run.code != 0 and "api_key_file" in run.out + run.err


def test_check_finds_nothing_wrong(
    command: Command, folder: Path, server: ScriptedServer, dialect: Dialect
) -> None:
    write(folder, configuration(server, dialect, folder, fallback_models=["scripted-1-mini"]))

    run = command("check")

    assert run.code == 0, run
    assert [line.split()[0] for line in run.out.splitlines()] == ["ok"] * 5
    assert "answers, 2 chat models" in run.out
    assert all(request.method == "GET" for request in server.requests), "a check costs nothing"


def test_check_finds_a_model_the_provider_does_not_have(
    command: Command, folder: Path, server: ScriptedServer, dialect: Dialect
) -> None:
    write(folder, configuration(server, dialect, folder, fallback_models=["scripted-1-mani"]))

    run = command("check")

    assert run.code == 1
    assert (
        "scripted-1-mani: the provider does not offer this model. Did you mean 'scripted-1-mini'?" in run.out
    )


def test_check_finds_a_key_that_is_refused(
    command: Command, configured: Path, server: ScriptedServer
) -> None:
    server.script(CHAT.error(401, message="Incorrect API key provided."))

    run = command("check")

    assert run.code == 1
    assert "failed" in run.out and "OPENAI_API_KEY" in run.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("url", "told"),
    [(refusing_url, "base_url"), (silent_url, "in time")],
    ids=["refuses", "silent"],
)
def test_check_finds_a_provider_that_is_down(
    command: Command, folder: Path, server: ScriptedServer, dialect: Dialect, url: Any, told: str
) -> None:
    config = configuration(server, dialect, folder)
    with url() as down:
        config["providers"][dialect.provider]["base_url"] = down
        write(folder, config)
        run = command("check", "--timeout", "0.3")

    assert run.code == 1, run
    assert f"failed  {dialect.provider}: " in run.out and told in run.out
    assert run.err == ""


def test_check_asks_other_entries_only_when_told(
    command: Command, configured: Path, server: ScriptedServer
) -> None:
    config = configuration(server, CHAT, configured)
    config["providers"]["anthropic"] = {"api_key": "${ANTHROPIC_API_KEY}"}
    config["providers"]["mine"] = {"adapter": "openai", "base_url": server.url + "/nothing"}
    write(configured, config)

    alone, everything = command("check"), command("check", "--all")

    assert alone.code == 0 and "anthropic" not in alone.out
    assert "warning anthropic: cannot be used." in everything.out and "ANTHROPIC_API_KEY" in everything.out
    assert "mine: answers, but does not list its models" in everything.out
    assert everything.code == 0


@pytest.mark.parametrize("status", [404, 405, 501])
def test_check_takes_a_host_without_a_listing_for_one_that_answers(
    command: Command, configured: Path, server: ScriptedServer, status: int
) -> None:
    config = configuration(server, CHAT, configured)
    config["providers"]["openai"]["max_retries"] = 0
    write(configured, config)
    server.script(CHAT.error(status).but(body=b"<!DOCTYPE HTML><html>No such page</html>"))

    run = command("check")

    assert run.code == 0 and "does not list its models" in run.out and "DOCTYPE" not in run.out


def test_check_goes_on_when_the_active_key_is_missing(
    command: Command, configured: Path, server: ScriptedServer
) -> None:
    write(configured, without_its_key(server, configured))

    everything, named, alone = command("check", "--all"), command("check", "-p", "mine"), command("check")

    assert (everything.code, named.code, alone.code) == (1, 0, 2)
    failed, *others = everything.out.splitlines()[1:]
    assert failed.startswith("failed  anthropic: cannot be used.") and "ANTHROPIC_API_KEY" in failed
    assert others == ["ok      mine: answers, 2 chat models"]
    assert named.out.splitlines()[1:] == others
    assert "ANTHROPIC_API_KEY" in alone.err


class Mute(SmallAdapter):
    """A provider that can neither list nor validate, as one that leaves out these methods."""

    list_request = BaseLLMProvider.list_request
    model_request = BaseLLMProvider.model_request


def test_what_cannot_be_listed_is_not_checked_and_no_failure(
    command: Command, configured: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(server, CHAT, configured)
    monkeypatch.setitem(providers._registered, "mute", Mute)
    config["providers"]["mute"] = {"base_url": server.url, "fallback_models": ["grey-2"]}
    config.update(active_provider="mute", active_model="grey-1")
    write(configured, config)

    checked, both = command("check"), command("models", "--refresh", "--all")
    alone = command("models", "--refresh")

    assert (checked.code, both.code, alone.code) == (0, 0, 2)
    assert checked.out.splitlines()[1:] == [
        "warning mute: cannot list its models, so grey-1 and grey-2 were not checked"
    ]
    assert "scripted-1-mini" in both.out and "mute: cannot list its models." in both.err
    assert "cannot list its models. Take their names from its documentation." in alone.err


@pytest.mark.parametrize(
    ("key", "variable", "is_set"),
    [
        ("written", None, True),
        ("${MY_KEY}", "k", True),
        ("${MY_KEY:-none}", "k", True),
        ("${MY_KEY:-none}", None, False),
        (None, None, False),
    ],
)
def test_a_key_is_set_where_someone_set_it(
    command: Command,
    configured: Path,
    server: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    key: Optional[str],
    variable: Optional[str],
    is_set: bool,
) -> None:
    config = configuration(server, CHAT, configured)
    config["providers"]["openai"]["api_key"] = key
    write(configured, config)
    monkeypatch.delenv("MY_KEY", raising=False)
    if variable:
        monkeypatch.setenv("MY_KEY", variable)

    run = command("check")

    assert (run.code, "openai: key is set" in run.out) == (0, is_set)


def test_check_of_a_wrong_configuration_names_all_that_is_wrong(command: Command, folder: Path) -> None:
    (folder / "config.yaml").write_text(
        "active_provider: openai\nactive_model: x\nproviders:\n  openai:\n    api_key: ${OPENAI_API_KEY}\n    timeuot: 3\n"
    )

    run = command("check")

    assert (run.code, run.out) == (2, "")
    assert "timeuot" in run.err and "OPENAI_API_KEY" in run.err


# ---------------------------------------------------------------------------------------- models


def test_models_are_shown_once_they_were_asked_for(
    command: Command, configured: Path, server: ScriptedServer
) -> None:
    before = command("models")
    asked = command("models", "--refresh")
    after = command("models", "--json")

    assert (before.code, before.out) == (0, "") and "models --refresh" in before.err
    heading, *rows = asked.out.splitlines()
    assert heading.split() == "name provider window input $/M output $/M since deprecated retires".split()
    assert [row.split() for row in rows] == [
        ["scripted-1", "openai", "2026-01-01"],
        ["scripted-1-mini", "openai", "2026-01-01"],
    ]
    assert [model["name"] for model in json.loads(after.out)] == ["scripted-1", "scripted-1-mini"]
    assert len(server.requests) == 1


def test_models_for_vectors_are_shown_when_asked_for(command: Command, configured: Path) -> None:
    before = command("models", "--kind", "embedding")
    command("models", "--refresh")
    shown, unknown = command("models", "--kind", "embedding"), command("models", "--kind", "embeddings")

    assert "No models of the kind embedding are known" in before.err
    assert [row.split()[0] for row in shown.out.splitlines()[1:]] == ["scripted-embedding-1"]
    assert unknown.code != 0 and "Did you mean 'embedding'?" in unknown.err


def test_a_model_that_goes_away_is_marked(command: Command, configured: Path, server: ScriptedServer) -> None:
    command("models", "--refresh")
    server.script(CHAT.models(["scripted-1"]))
    command("models", "--refresh")

    shown, everything = command("models"), command("models", "--all")

    assert "scripted-1-mini" not in shown.out
    assert everything.out.splitlines()[2].split() == ["scripted-1-mini", "openai", "2026-01-01", "yes"]


def test_a_failed_refresh_shows_what_is_known(
    command: Command, configured: Path, server: ScriptedServer
) -> None:
    command("models", "--refresh")
    server.script(CHAT.error(500, message="Down."))

    run = command("models", "--refresh")

    assert run.code == 1
    assert "scripted-1-mini" in run.out and "Down." in run.err


# ---------------------------------------------------------------------------------------- price


def test_a_price_is_shown_with_its_source(command: Command, folder: Path) -> None:
    run = command("price", "gpt-6-luna", "--input", "1000", "--output", "500")

    assert run.code == 0
    assert run.out.startswith("openai/gpt-6-luna\n")
    standard = next(line.split() for line in run.out.splitlines() if line.startswith("standard "))
    assert standard[1:] == ["$0.1", "$0.01", "$0.125", "$0.5"]
    assert run.out.endswith("1,000 tokens in, 500 out: $0.00035\n")
    assert "price table" in run.err


def test_a_price_of_ones_own_counts(command: Command, configured: Path, server: ScriptedServer) -> None:
    config = configuration(server, CHAT, configured)
    override = {"provider": "openai", "model": "mine", "rates": {"in": "2", "out": "8"}}
    config["cost_tracking"]["price_overrides"] = [override]
    write(configured, config)

    run = command("price", "openai/mine")

    assert run.code == 0 and "$2" in run.out and "$8" in run.out
    assert "your price_overrides" in run.err


def test_a_price_nobody_knows_is_no_price(command: Command, folder: Path) -> None:
    run = command("price", "gpt-6-lunar")

    assert (run.code, run.out) == (1, "")
    assert "Did you mean 'gpt-6-luna'?" in run.err and "price_overrides" in run.err
    assert "is not known. Set it in" in command("price", "xyz").err


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("model", "here/model"),
        ("here/other", "here/other"),
        ("local/any", "local/any"),
        ("spare", "here/spare"),
    ],
)
def test_a_local_model_is_free(command: Command, folder: Path, name: str, shown: str) -> None:
    here = {"adapter": "local", "model_path": "model.gguf", "fallback_models": ["spare"]}
    write(folder, {"active_provider": "here", "active_model": "model", "providers": {"here": here}})

    run = command("price", name)

    assert (run.code, run.out, run.err) == (0, f"{shown}\nfree\n", "")
    assert command("price", "here").code == 1, "a provider is no model"


# ---------------------------------------------------------------------------------------- FF10, FF11, FF15


def test_ff10_ask_ends_with_tokens_and_cost(command: Command, configured: Path) -> None:
    run = command("ask", "Hi")
    assert run.err.splitlines()[-1].startswith("openai/scripted-1, 6 tokens, cost ")


def test_ff10_models_shows_prices_and_needs_no_key(
    command: Command, configured: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("models", "--refresh")
    config = configuration(server, CHAT, configured)
    config["providers"]["openai"]["api_key"] = "${NOT_SET}"
    override = {"provider": "openai", "model": "scripted-1", "rates": {"in": "1.25", "out": "10"}}
    config["cost_tracking"]["price_overrides"] = [override]
    write(configured, config)

    run = command("models")

    assert run.code == 0, run
    assert run.out.splitlines()[1].split()[:4] == ["scripted-1", "openai", "1.25", "10"]


def test_models_names_those_whose_price_may_be_out_of_date(
    command: Command, configured: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llm_orchestrator.cli import models

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2031, 1, 1, tzinfo=tz)

    override = {"provider": "openai", "model": "mine", "rates": {"in": "1.25", "out": "10"}}
    config = configuration(server, CHAT, configured)
    config["cost_tracking"]["price_overrides"] = [override]
    write(configured, config)
    server.script(CHAT.models(["gpt-5", "gpt-5-mini", "mine", "unheard-of"]))
    command("models", "--refresh")
    monkeypatch.setattr(models, "datetime", Later)

    told = " ".join(command("models").err.split())

    assert "Prices that may be out of date: gpt-5, gpt-5-mini. The price table is of 20" in told
    assert "cost_tracking.price_overrides" in told and "mine" not in told.replace("gpt-5-mini", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
@pytest.mark.parametrize(
    "words", [("--help",), ("models", "--refresh"), ("ask", "Hi"), ("costs",), ("price", "gpt-6-luna")]
)
def test_ff11_a_full_disk_is_one_line_and_its_own_exit_code(configured: Path, words: tuple) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "llm_orchestrator", *words],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=configured,
        )
    assert ended.returncode == 74, ended.stderr
    assert ended.stderr.count("standard output cannot be written") == 1 and "Traceback" not in ended.stderr


def test_ff15_costs_of_a_month_by_one_tag_add_up(command: Command, configured: Path) -> None:
    for tags in (("--tag", "customer=acme"), ("--tag", "customer=bolt"), ()):
        command("ask", "Hi", *tags)
    month = date.today().isoformat()[:7]

    run = command("costs", "--by", "tag:customer", "--since", month, "--until", month, "--format", "csv")

    rows = list(csv.DictReader(run.out.splitlines()))
    assert {row["name"]: row["requests"] for row in rows} == {"acme": "1", "bolt": "1", "": "1"}
    assert "(none)" in command("costs", "--by", "tag:customer").out
    assert command("costs", "--by", "tag:").code == 2
    assert "3 calls" in command("costs", "--since", month).out
    assert "0 calls" in command("costs", "--since", "1999-01", "--until", "1999-12").out
