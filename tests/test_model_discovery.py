"""The model registry: what a refresh learns, what is listed and why not, what becomes of models that go."""

# Fixtures are imported without being called.
# ruff: noqa: F401, F811
from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from dataclasses import replace
from typing import Any, Dict, Iterator, Mapping

import pytest

from llm_orchestrator.exceptions import ConfigurationError, InvalidRequestError, RateLimitError
from llm_orchestrator.models import cache
from llm_orchestrator.models.names import is_fine_tuned
from llm_orchestrator.models.registry import ModelInfo, ModelRegistry
from tests.support.listings import (
    FIRST,
    SECOND,
    THIRD,
    Listed,
    cache_path,
    call,
    clock,
    make,
    names,
    vanished,
)

# ---------------------------------------------------------------- refreshing


def test_before_the_first_refresh_nothing_is_known_and_nobody_is_asked(make, cache_path, caplog):
    provider = Listed("gpt-9")
    registry = make(one=provider)

    assert names(registry) == []
    assert registry.known("one", "gpt-9") is None
    assert registry.is_model_deprecated("one", "gpt-9") is False
    assert registry.providers_listing("gpt-9") == []
    registry.warn_if_deprecated("one", "gpt-9")

    assert provider.requests == [] and caplog.records == [] and not cache_path.exists()


def test_a_refresh_lists_what_the_provider_tells(make, call):
    told = ModelInfo(
        "gpt-9",
        provider="another name",
        created_at="2025-12-01",
        context_window=400_000,
        max_output_tokens=128_000,
        display_name="GPT nine",
        capabilities={"thinking": {"types": ["adaptive"]}},
    )
    registry = make(one=Listed(told, "gpt-10"))
    call(registry, "refresh_models")
    assert names(registry) == ["gpt-10", "gpt-9"]
    assert registry.known("one", "gpt-9") == replace(told, provider="one", first_seen=FIRST, last_seen=FIRST)


def test_p7_a_never_seen_model_is_listed_right_after_the_refresh(make, clock, call):
    provider = Listed("gpt-9")
    registry = make(one=provider)
    registry.refresh_models()
    clock.next_day()
    provider.offer("gpt-9", "nova-1-never-heard-of")

    call(registry, "refresh_models", "one")

    assert names(registry) == ["gpt-9", "nova-1-never-heard-of"]
    old, new = registry.get_available_models("one")
    assert (old.first_seen, old.last_seen) == (FIRST, SECOND)
    assert (new.first_seen, new.last_seen) == (SECOND, SECOND)


def test_only_the_provider_asked_for_is_refreshed(make, call):
    one, two = Listed("a"), Listed("b")
    registry = make(one=one, two=two)
    call(registry, "refresh_models", "two")
    assert (one.requests, two.requests) == ([], ["list"])
    assert names(registry, "one") == [] and names(registry, "two") == ["b"]


def test_a_failed_refresh_keeps_the_old_list_refreshes_the_rest_and_raises(make, call, caplog):
    one, two, three = Listed("a"), Listed("b"), Listed("c")
    registry = make(one=one, two=two, three=three)
    registry.refresh_models()
    one.error = RateLimitError("slow down", provider="one")
    two.error = RateLimitError("later", provider="two")
    three.offer("d")

    with pytest.raises(RateLimitError) as caught:
        call(registry, "refresh_models")

    assert caught.value is one.error
    assert [names(registry, name) for name in ("one", "two", "three")] == [["a"], ["b"], ["d"]]
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "The models of one were not refreshed; the old list is kept: slow down",
        "The models of two were not refreshed; the old list is kept: later",
    ]


def test_cancellation_is_not_taken_for_a_failed_provider(make):
    registry = make(one=Listed("a"), two=Listed("b"))

    async def cancelled_at_the_first_provider() -> None:
        refresh = asyncio.ensure_future(registry.arefresh_models())
        await asyncio.sleep(0)
        refresh.cancel()
        await refresh

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled_at_the_first_provider())
    assert names(registry, "two") == []


class Lazy(Mapping[str, Any]):
    """Makes a provider when it is read, like the orchestrator's own mapping."""

    def __init__(self) -> None:
        self.made: Dict[str, Listed] = {}

    def __getitem__(self, name: str) -> Listed:
        if name == "keyless":
            raise ConfigurationError("Set KEYLESS_API_KEY.")
        if name not in {"one", "two"}:
            raise KeyError(name)
        return self.made.setdefault(name, Listed("model"))

    def __iter__(self) -> Iterator[str]:
        return iter(["one", "keyless", "two"])

    def __len__(self) -> int:
        return 3


def test_a_provider_is_made_only_when_it_is_asked(cache_path):
    providers = Lazy()
    registry = ModelRegistry(providers, cache_path)
    assert names(registry, "two") == [] and names(registry, "keyless") == []
    assert registry.explain("two", "model") and registry.providers_listing("model") == []
    assert providers.made == {}
    registry.refresh_models("two")
    assert list(providers.made) == ["two"]


def test_an_unusable_entry_is_left_out_of_all_but_not_when_named(cache_path, call):
    registry = ModelRegistry(Lazy(), cache_path)
    call(registry, "refresh_models")
    assert names(registry, "one") == names(registry, "two") == ["model"]
    with pytest.raises(ConfigurationError, match="Set KEYLESS_API_KEY"):
        call(registry, "refresh_models", "keyless")


def test_an_unknown_entry_is_named_with_a_suggestion(make):
    registry = make(openai=Listed())
    for ask in (
        registry.refresh_models,
        registry.get_available_models,
        lambda name: registry.explain(name, "m"),
    ):
        with pytest.raises(ConfigurationError, match=r"named 'opnai'\. Did you mean 'openai'\?"):
            ask("opnai")


# ---------------------------------------------------------------- what is listed

OPENAI_LISTING = {
    "audio": [
        "gpt-audio",
        "gpt-realtime-mini",
        "gpt-9-live",
        "gpt-4o-mini-transcribe",
        "gpt-4o-mini-tts",
        "whisper-1",
    ],
    "images or video": ["gpt-image-2", "dall-e-3", "sora-2-pro", "chatgpt-image-latest"],
    "embeddings": ["text-embedding-3-small"],
    "moderation": ["omni-moderation-latest"],
    "search": ["gpt-4o-search-preview"],
    "plain completion": ["gpt-3.5-turbo-instruct", "davinci-002", "babbage-002"],
}


@pytest.mark.parametrize(("kind", "models"), OPENAI_LISTING.items())
def test_p7_models_of_other_kinds_are_not_listed_and_the_reason_is_told(kind, models, make):
    registry = make(one=Listed("gpt-9", *models))
    registry.refresh_models()
    assert names(registry) == ["gpt-9"]
    for model in models:
        assert f"is not listed for chat: its name says it is a model for {kind}" in registry.explain(
            "one", model
        )


@pytest.mark.parametrize(
    ("kinds", "hidden", "shown"),
    [
        (
            "openai",
            ["gpt-audio"],
            ["gpt-6-luna", "olive-1", "imagery-chat", "o9-deep-research", "gpt-5-codex"],
        ),
        (
            "openai-compatible",
            ["nomic-embed-text", "embeddinggemma:300m", "whisper-large", "bge-reranker-v2", "kokoro-tts"],
            [
                "llama4:instruct",
                "mistral-7b-instruct-v0.3",
                "perplexity/sonar-search",
                "davinci-chat",
                "gpt-live",
            ],
        ),
        (
            "gemini",
            ["gemini-9-flash-image", "gemini-9-pro-tts", "gemini-embedding-001", "gemini-9-flash-live"],
            ["gemini-9-pro", "gemma-4-27b-instruct"],
        ),
        ("anthropic", [], ["claude-live-image-tts"]),
        ("local", [], ["my-embedding"]),
        ("of-a-plugin", [], ["whisper"]),
    ],
)
def test_kinds_are_told_by_protocol_and_whole_words(kinds, hidden, shown, make):
    registry = make(one=Listed(*hidden, *shown, kinds=kinds))
    registry.refresh_models()
    assert names(registry) == sorted(shown)


@pytest.mark.parametrize(
    ("kinds", "embedding", "others"),
    [
        ("openai", ["text-embedding-3-small"], ["gpt-9", "whisper-1", "dall-e-3"]),
        ("openai-compatible", ["embeddinggemma:300m", "nomic-embed-text"], ["bge-reranker-v2", "llama4"]),
        ("gemini", ["gemini-embedding-001"], ["gemini-9-pro", "gemini-9-pro-tts"]),
        ("vertex", ["text-embedding-005", "textembedding-gecko"], ["gemini-9-pro", "veo-3"]),
        ("anthropic", [], ["claude-embedding"]),
        ("local", [], ["my-embedding"]),
    ],
)
def test_embedding_models_are_listed_when_asked_for(kinds, embedding, others, make, call):
    registry = make(one=Listed(*embedding, *others, kinds=kinds))
    call(registry, "refresh_models")
    found = registry.get_available_models("one", kind="embedding")
    assert [info.name for info in found] == embedding
    assert not set(embedding).intersection(names(registry))


def test_the_providers_own_word_on_embedding_counts_before_the_name(make, cache_path):
    registry = make(
        one=Listed(
            ModelInfo("old-embedding", "one", exclusion="it cannot generateContent"),
            ModelInfo("vectors-1", "one", exclusion="it cannot generateContent", embeds=True),
            ModelInfo("both-1", "one", embeds=True),
            kinds="gemini",
        )
    )
    registry.refresh_models()
    for again in (registry, ModelRegistry({"one": Listed()}, cache_path)):  # as kept in the file, too
        assert [info.name for info in again.get_available_models("one", kind="embedding")] == [
            "both-1",
            "vectors-1",
        ]
        assert names(again) == ["both-1"]


def test_an_embedding_model_that_is_gone_is_deprecated(make, clock):
    provider = Listed("text-embedding-3-small", "gpt-9")
    registry = make(one=provider)
    registry.refresh_models()
    clock.next_day()
    provider.offer("gpt-9")
    registry.refresh_models()
    assert registry.get_available_models("one", kind="embedding") == []
    (gone,) = registry.get_available_models("one", include_deprecated=True, kind="embedding")
    assert (gone.name, gone.deprecated) == ("text-embedding-3-small", True)


def test_an_unknown_kind_is_refused_with_a_suggestion(make):
    with pytest.raises(InvalidRequestError, match="'embeddings'. Did you mean 'embedding'?"):
        make(one=Listed()).get_available_models("one", kind="embeddings")


def test_a_provider_without_kinds_of_its_own_lists_everything(cache_path):
    provider = Listed("whisper")
    del provider.model_kinds
    registry = ModelRegistry({"one": provider}, cache_path)
    registry.refresh_models()
    assert names(registry) == ["whisper"]


def test_the_providers_own_word_excludes_a_model(make):
    registry = make(
        one=Listed(ModelInfo("veo-3", "one", exclusion="it cannot generateContent"), kinds="gemini")
    )
    registry.refresh_models()
    assert names(registry, include_deprecated=True) == []
    known = registry.known("one", "veo-3")
    assert known is not None and known.exclusion == "it cannot generateContent"
    assert registry.explain("one", "veo-3").endswith("is not listed for chat: it cannot generateContent.")


@pytest.mark.parametrize("model", ["ft:gpt-9:org::id", "ft-gpt-9", "tunedModels/mine", "openai/ft:x", "FT:x"])
def test_fine_tuned_models_are_never_listed_or_asked_for(model, make, call):
    provider = Listed("gpt-9", model)
    registry = make(one=provider)
    registry.refresh_models()
    assert names(registry, include_deprecated=True) == ["gpt-9"]
    assert registry.known("one", model) is None
    assert "is never listed, because it is fine-tuned" in registry.explain("one", model)
    assert call(registry, "validate_model", "one", model) is False
    assert provider.requests == ["list"]


@pytest.mark.parametrize("model", ["gpt-9", "left:1", "soft-1", "aft-model", "org/soft-x"])
def test_other_names_are_not_fine_tuned(model):
    assert not is_fine_tuned(model)


# ---------------------------------------------------------------- deprecation


def test_p7_a_model_gone_from_the_listing_is_deprecated_and_kept(vanished):
    assert names(vanished) == ["new"]
    assert names(vanished, include_deprecated=True) == ["new", "old"]
    assert vanished.is_model_deprecated("one", "old") and not vanished.is_model_deprecated("one", "new")
    old = vanished.known("one", "old")
    assert old is not None and (old.first_seen, old.last_seen) == (FIRST, FIRST)
    assert f"the provider no longer lists it; it was last listed on {FIRST}" in vanished.explain("one", "old")


def test_p7_a_deprecated_model_is_warned_of_once(vanished, caplog):
    for _ in range(3):
        vanished.warn_if_deprecated("one", "old")
        vanished.warn_if_deprecated("one", "new")
        vanished.warn_if_deprecated("one", "never-heard-of")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Model 'old' of provider 'one' is deprecated" in caplog.text


def test_a_model_that_comes_back_is_not_deprecated(vanished, make, clock):
    clock.next_day()
    registry = make(one=Listed("old"))
    registry.refresh_models()
    assert names(registry) == ["old"]
    old = registry.known("one", "old")
    assert old is not None and (old.first_seen, old.last_seen) == (FIRST, THIRD)
    assert registry.is_model_deprecated("one", "new")


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (ModelInfo("m", "one", retires_at="2027-01-14"), "the provider will switch it off on 2027-01-14"),
        (ModelInfo("m", "one", deprecated=True), "the provider said so"),
    ],
)
def test_a_retirement_that_the_provider_declares_is_shown(info, reason, make):
    registry = make(one=Listed(info))
    registry.refresh_models()
    assert names(registry) == []
    (shown,) = registry.get_available_models("one", include_deprecated=True)
    assert shown.deprecated and shown.retires_at == info.retires_at
    assert reason in registry.explain("one", "m")


# ---------------------------------------------------------------- validation, explanations, ownership


def test_validation_asks_the_provider_and_is_remembered(make, clock, call):
    provider = Listed("gpt-9")
    registry = make(one=provider)
    registry.refresh_models()
    clock.next_day()

    assert call(registry, "validate_model", "one", "gpt-9") is True
    assert call(registry, "validate_model", "one", "gpt-0") is False

    assert provider.requests == ["list", "gpt-9", "gpt-0"]
    known = registry.known("one", "gpt-9")
    assert known is not None and (known.last_seen, known.last_validated) == (FIRST, SECOND)
    assert registry.known("one", "gpt-0") is None
    clock.next_day()
    registry.refresh_models()
    known = registry.known("one", "gpt-9")
    assert known is not None and (known.last_seen, known.last_validated) == (THIRD, SECOND)


def test_a_validated_model_that_no_listing_shows_is_neither_listed_nor_deprecated(make, call):
    provider = Listed("deployment")
    registry = make(one=provider)
    assert call(registry, "validate_model", "one", "deployment") is True
    assert names(registry) == [] and registry.providers_listing("deployment") == []
    provider.offer("other")
    registry.refresh_models()
    assert not registry.is_model_deprecated("one", "deployment")
    assert "is not in the provider's list" in registry.explain("one", "deployment")


def test_explanations_are_one_sentence_each(make):
    registry = make(one=Listed("gpt-9"))
    assert registry.explain("one", "gpt-9") == (
        "Model 'gpt-9' of provider 'one' is not listed, because the models were never requested: "
        "call refresh_models."
    )
    registry.refresh_models()
    assert registry.explain("one", "gpt-9") == (
        f"Model 'gpt-9' of provider 'one' is listed as a chat model, since {FIRST}."
    )
    assert registry.explain("one", "gpt-0") == (
        f"Model 'gpt-0' of provider 'one' is not in the provider's list of {FIRST}, nor in an earlier one: "
        "check its name, or call refresh_models."
    )


def test_r5_the_registry_tells_whose_listing_holds_a_model(make):
    registry = make(one=Listed("gpt-9", "both"), two=Listed("both"))
    registry.refresh_models()
    assert registry.providers_listing("gpt-9") == ["one"]
    assert registry.providers_listing("both") == ["one", "two"]
    assert registry.providers_listing("neither") == []


def test_the_registry_is_cheap_to_import():
    code = (
        "import sys, json, logging, threading, dataclasses, contextlib, llm_orchestrator.types; "
        "before = set(sys.modules); import llm_orchestrator.models.registry; "
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('llm_orchestrator')))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(eval(shown)) <= {"errno", "fcntl"}


# ---------------------------------------------------------------- a lock that is never given back


@pytest.fixture
def locked(cache_path, monkeypatch):
    """Another process holds the cache's lock, for ever."""
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(cache, "LOCK_SECONDS", 0.2)
    cache_path.parent.mkdir(parents=True)
    with open(f"{cache_path}.lock", "a", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


@pytest.mark.usefixtures("locked")
def test_fd6_a_refresh_does_not_wait_for_ever(make, call, cache_path):
    registry = make(one=Listed("gpt-9"))
    call(registry, "refresh_models")
    assert call(registry, "validate_model", "one", "gpt-9") is True
    assert names(registry) == ["gpt-9"] and "gpt-9" in cache_path.read_text()


@pytest.mark.usefixtures("locked")
def test_fd6_the_loop_goes_on_while_a_refresh_waits(make):
    registry = make(one=Listed("gpt-9"))

    async def main():
        turns, refresh = 0, asyncio.ensure_future(registry.arefresh_models())
        while not refresh.done():
            await asyncio.sleep(0.001)
            turns += 1
        return turns

    assert asyncio.run(main()) > 5
    assert names(registry) == ["gpt-9"]


def test_fd6_a_refresh_without_a_thread_waits_on_the_loop(make, monkeypatch):
    def fail(thread):
        raise RuntimeError("can't start new thread")

    registry = make(one=Listed("gpt-9"))
    monkeypatch.setattr(threading.Thread, "start", fail)
    asyncio.run(registry.arefresh_models())
    assert names(registry) == ["gpt-9"]
