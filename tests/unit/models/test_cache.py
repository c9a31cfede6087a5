"""The cache file of the model registry: shared by processes, written whole, and never worth a failed call."""

# Fixtures are imported without being called.
# ruff: noqa: F401, F811
from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from typing import Any

import pytest

from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.models.cache import default_cache_path
from llm_orchestrator.models.registry import ModelInfo, ModelRegistry
from llm_orchestrator.testing import FakeProvider
from tests.support.listings import FIRST, Listed, cache_path, clock, make, names, vanished


def test_another_process_finds_everything_in_the_cache(vanished, make):
    provider = Listed()
    registry = make(one=provider)
    assert registry.get_available_models("one", True) == vanished.get_available_models("one", True)
    assert provider.requests == []


def test_capabilities_and_limits_survive_the_cache(make):
    told = ModelInfo(
        "m", "one", capabilities={"vision": True, "effort": []}, context_window=0, max_output_tokens=8
    )
    make(one=Listed(told)).refresh_models()
    assert make(one=Listed()).known("one", "m") == replace(told, first_seen=FIRST, last_seen=FIRST)


def test_who_asks_often_looks_at_the_file_now_and_then(make):
    one = Listed("a")
    here, there = make(one=one), make(one=one)
    assert here.known("one", "a") is None
    there.refresh_models("one")
    assert here.known("one", "a", max_age=3600.0) is None
    assert here.known("one", "a").name == here.known("one", "a", max_age=3600.0).name == "a"
    one.offer("b")
    here.refresh_models("one")
    assert here.known("one", "b", max_age=3600.0).name == "b"


def test_a_refresh_elsewhere_is_seen_and_not_undone(make):
    one, two = Listed("a"), Listed("b")
    here, there = make(one=one, two=two), make(one=one, two=two)
    here.refresh_models("one")
    there.refresh_models("two")
    assert names(here, "two") == ["b"]
    one.offer("c")
    here.refresh_models("one")
    assert names(there, "one") == ["c"] and names(there, "two") == ["b"]


def test_many_threads_refresh_at_once_without_loss(cache_path):
    providers = {f"p{number}": Listed(f"model-{number}") for number in range(8)}
    registries = [ModelRegistry(providers, cache_path) for _ in range(2)]

    def refresh(number: int) -> None:
        registries[number % 2].refresh_models(f"p{number}")

    threads = [threading.Thread(target=refresh, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fresh = ModelRegistry(providers, cache_path)
    assert [names(fresh, f"p{number}") for number in range(8)] == [[f"model-{number}"] for number in range(8)]
    assert sorted(os.listdir(cache_path.parent)) == ["models.json", "models.json.lock"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'"text"',
        b"null",
        b'{"schema": 99, "providers": {}}',
        b'{"name": "another program"}',
        b'{"schema": 2, "listings": [{"provider": "one", "address": "", "refreshed_at": null, "models": [{"x": 1}]}]}',
        b'{"schema": 2, "listings": [{"provider": "one"}]}',
        b"[" * 100_000,
    ],
    ids=lambda content: repr(content[:30]),
)
def test_a_broken_cache_is_ignored_with_one_warning_and_replaced(content, make, cache_path, caplog):
    cache_path.parent.mkdir()
    cache_path.write_bytes(content)
    registry = make(one=Listed("gpt-9"))
    assert names(registry) == [] and names(registry) == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(cache_path) in caplog.text

    registry.refresh_models()

    assert len(caplog.records) == 1
    assert json.loads(cache_path.read_text("utf-8"))["schema"] == 2
    assert names(make(one=Listed())) == ["gpt-9"]


def test_a_cache_that_cannot_be_written_costs_a_warning_only(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("in the way", "utf-8")
    registry = ModelRegistry({"one": Listed("gpt-9")}, blocked / "models.json")
    registry.refresh_models()
    assert names(registry) == ["gpt-9"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "was not written" in caplog.text


def test_a_cache_that_cannot_be_read_costs_a_warning_only(make, cache_path, caplog):
    cache_path.mkdir(parents=True)
    assert names(make(one=Listed("gpt-9"))) == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "cannot be read" in caplog.text


def test_a_write_that_breaks_off_leaves_the_old_cache(make, cache_path, monkeypatch, caplog):
    make(one=Listed("old")).refresh_models()
    monkeypatch.setattr(os, "replace", _disk_full)
    make(one=Listed("new")).refresh_models()
    assert "No space left" in caplog.text
    assert sorted(os.listdir(cache_path.parent)) == ["models.json", "models.json.lock"]
    assert names(make(one=Listed())) == ["old"]


def _disk_full(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_deleted_cache_does_not_empty_the_lists(make, cache_path):
    registry = make(one=Listed("gpt-9"))
    registry.refresh_models()
    cache_path.unlink()
    assert names(registry) == ["gpt-9"]


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/llm_orchestrator/models.json"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/llm_orchestrator/models.json"),
        ("linux", {}, "/home/me/.cache/llm_orchestrator/models.json"),
        ("darwin", {"XDG_CACHE_HOME": "/xdg"}, "/home/me/Library/Caches/llm_orchestrator/models.json"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/llm_orchestrator/models.json"),
        ("win32", {}, "/home/me/AppData/Local/llm_orchestrator/models.json"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="the paths are written the other way")
def test_the_default_cache_is_in_the_users_cache_folder(platform, variables, expected, monkeypatch):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert default_cache_path() == expected


def test_one_name_for_two_hosts_keeps_two_lists(cache_path):
    def registry(address, *models):
        return ModelRegistry({"one": Listed(*models)}, cache_path, addresses={"one": address})

    here, there = registry("", "gpt-9"), registry("https://gateway/v1", "llama")
    for each in (here, there, here):
        each.refresh_models()

    assert (names(here), names(there)) == (["gpt-9"], ["llama"])
    assert not here.is_model_deprecated("one", "gpt-9"), "the other host's list says nothing of it"
    assert names(registry("https://gateway/v1")) == ["llama"]
    assert there.known("one", "llama").provider == "one"


def test_the_orchestrator_tells_its_hosts_apart(cache_path):
    def registry(**entry):
        config = {
            "active_provider": "openai",
            "active_model": "gpt-9",
            "providers": {"openai": {"api_key": "sk-12345678", **entry}},
            "model_registry": {"cache_path": str(cache_path)},
        }
        provider = FakeProvider("Hi", name="openai", models=["gpt-9"])
        return LLMOrchestrator(config, providers={"openai": provider}).registry

    registry(base_url="https://gateway.example/v1").refresh_models()

    assert [
        info.name for info in registry(base_url="https://gateway.example/v1").get_available_models("openai")
    ]
    assert not registry().get_available_models("openai")
    assert "sk-1" not in cache_path.read_text("utf-8")


def test_a_cache_of_version_0_1_is_replaced_without_a_word(make, cache_path, caplog):
    cache_path.parent.mkdir()
    cache_path.write_text(
        '{"schema": 1, "providers": {"one": {"refreshed_at": null, "models": []}}}', "utf-8"
    )
    registry = make(one=Listed("gpt-9"))
    assert names(registry) == []
    registry.refresh_models()
    assert names(make(one=Listed())) == ["gpt-9"]
    assert not caplog.records
