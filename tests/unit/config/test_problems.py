"""The configuration: every mistake is answered with one error that names the place and what to do."""

# Fixtures are imported without being called.
# ruff: noqa: F401
from __future__ import annotations

import os
import stat
from typing import Any, Dict

import pytest

from llm_orchestrator.config import reader
from llm_orchestrator.config.manager import ConfigManager
from tests.support.configs import config, costs, entry, fault, no_keys, schema_built, written


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (entry(timout=3), "providers.local.timout: unknown key. Did you mean 'timeout'?"),
        (config(cost_traking={}), "cost_traking: unknown key. Did you mean 'cost_tracking'?"),
        (costs(budget={"dayly": 3}), "cost_tracking.budget.dayly: unknown key. Did you mean 'day'?"),
        (
            config(model_registry={"cash_path": 3}),
            "model_registry.cash_path: unknown key. Did you mean 'cache_path'?",
        ),
        (
            config(zzz=1),
            "zzz: unknown key. Known: active_model, active_provider, cost_tracking, model_registry, ",
        ),
        (
            config(active_provider="lcoal"),
            "active_provider: 'lcoal' is not an entry below `providers`. Did you mean 'local'?",
        ),
        (config(active_model=""), "active_model: String should have at least 1 character"),
        (config(active_model="  "), "active_model: String should have at least 1 character"),
        (config(active_model=4), "active_model: should be a string. Put it in quotes"),
        (config(active_model="ft:gpt-x:org::id"), "active_model: 'ft:gpt-x:org::id' is a fine-tuned model"),
        (config(active_model="tunedModels/mine"), "active_model: 'tunedModels/mine' is a fine-tuned model"),
        (
            entry(fallback_models=["a", "ft-b"]),
            "providers.local.fallback_models[1]: 'ft-b' is a fine-tuned model",
        ),
        (entry(fallback_models="a"), "providers.local.fallback_models: should be"),
        (entry(timeout=0), "providers.local.timeout: should be greater than 0"),
        (entry(timeout=float("inf")), "providers.local.timeout: should be a finite number"),
        (entry(timeout="soon"), "providers.local.timeout: should be a valid number"),
        (entry(timeout=5, connect_timeout=6), "providers.local.connect_timeout: is more than `timeout`"),
        (entry(total_timeout=-1), "providers.local.total_timeout: should be greater than 0"),
        (entry(max_retries=-1), "providers.local.max_retries: should be greater than or equal to 0"),
        (entry(max_retry_wait=-1), "providers.local.max_retry_wait: should be greater than or equal to 0"),
        (entry(on_unsupported_parameter="ignore"), "on_unsupported_parameter: should be 'drop' or 'error'"),
        (
            entry(options={"timeout": 5}),
            "options: The option 'timeout' is not a field of the provider's body.",
        ),
        (
            entry(options={"stream": True}),
            "options: The option 'stream' would replace what the library sets.",
        ),
        (entry(options={"temperature": "hot"}), "options: The option temperature is 'hot'. Use a number."),
        (entry(options={"temperature": "warm"}), "options: The option temperature is 'warm'. Use a number."),
        (entry(options={"reasoning_effort": False}), "If you mean the word, write it in quotes."),
        (entry(api="completions"), "providers.local.api: should be 'auto', 'responses' or 'chat'"),
        (entry(base_url="localhost:11434"), "providers.local.base_url: is not a URL"),
        (entry(base_url="https://me:pw@host"), "providers.local.base_url: contains a user name or password"),
        (entry(headers={"X-A": "1", "x-a": "2"}), "providers.local.headers: 'X-A' and 'x-a' are one header."),
        (entry(headers={"X-A": "1\r\nX-B: 2"}), "providers.local.headers: the header 'X-A' holds what HTTP"),
        (entry(headers={"X-A": "1\n"}), "providers.local.headers: the header 'X-A' holds what HTTP cannot"),
        (entry(headers={"X A": "1"}), "providers.local.headers: the header 'X A' holds what HTTP cannot"),
        (entry(http={"proxy": "socks5://u:p@h:1"}), "providers.local.http.proxy: names a socks proxy"),
        (entry(http={"proxy": "ftp://h:1"}), "providers.local.http.proxy: must begin with http://"),
        (entry(http={"proxy": "http://h:x"}), "providers.local.http.proxy: is not a possible address."),
        (
            costs(price_overrides=[{"provider": "opnai", "model": "m", "rates": {"in": 1}}]),
            "cost_tracking.price_overrides[0].provider: no entry is called 'opnai'. Did you mean 'openai'?",
        ),
        (
            costs(price_overrides=[{"provider": "loca", "model": "m", "rates": {"in": 1}}]),
            "cost_tracking.price_overrides[0].provider: no entry is called 'loca'. Did you mean 'local'?",
        ),
        (config(providers={}), "providers: is empty. Add an entry for a provider, or pass"),
        (config(providers=["local"]), "providers: should be a valid dictionary"),
        (config(providers={"local": "x"}), "providers.local: should be a mapping"),
        (
            config(providers={1: {}, "local": {}}),
            "providers[1]: the key should be a string. Put it in quotes.",
        ),
        (costs(discount=0), "cost_tracking.discount: should be greater than 0"),
        (costs(discount="NaN"), "cost_tracking.discount: should be a finite number"),
        (costs(budget={"day": -1}), "cost_tracking.budget.day: should be greater than 0"),
        (costs(rotate_mb=0), "cost_tracking.rotate_mb: should be greater than 0"),
        (costs(price_overrides=[{"provider": "a", "rates": {"in": 1}}]), "price_overrides[0].model: missing"),
        (
            costs(price_overrides=[{"provider": "a", "model": "b", "rates": {"inn": 1}}]),
            "price_overrides[0].rates: unknown rate 'inn'. Did you mean 'in'?",
        ),
        (
            costs(price_overrides=[{"provider": "a", "model": "b", "rates": {"in": "-1"}}]),
            "price_overrides[0].rates.in: should be greater than or equal to 0",
        ),
        (costs(price_overrides=[{"provider": "a", "model": "b", "rates": {}}]), "price_overrides[0].rates: "),
        (
            costs(
                price_overrides=[{"provider": "a", "model": "b", "rates": {"in": 1}, "form": "2026-01-01"}]
            ),
            "price_overrides[0].form: unknown key. Did you mean 'from'?",
        ),
    ],
)
def test_each_mistake_is_named_with_its_key_and_a_remedy(source, expected):
    message = fault(source)
    assert message.startswith("the configuration: ") and expected in message
    assert message.count(". ") >= 1 or message.endswith("?"), "one sentence on what to do"


def test_all_mistakes_come_in_one_error():
    source = {"active_model": "ft:x", "providers": {"local": {"timout": 1, "max_retries": "many"}}, "zzz": 1}
    assert fault(source).splitlines() == [
        "the configuration: 5 problems.",
        "  providers.local.max_retries: should be a valid integer, unable to parse string as an integer. "
        "Correct the value, or remove the key to get its default.",
        "  providers.local.timout: unknown key. Did you mean 'timeout'?",
        "  active_provider: missing. Add `active_provider: ...`.",
        "  active_model: 'ft:x' is a fine-tuned model, which is not supported. Use the base model instead.",
        "  zzz: unknown key. Known: active_model, active_provider, cost_tracking, model_registry, providers.",
    ]


def test_a_missing_variable_and_other_mistakes_come_together(monkeypatch):
    monkeypatch.delenv("UNSET", raising=False)
    entries = {"local": {"timeout": "${UNSET}"}, "openai": {"api_key": "${UNSET}", "max_retries": -1}}
    message = fault(config(providers=entries))
    assert message.startswith("the configuration: 2 problems.")
    assert "providers.local.timeout: the environment variable UNSET is not set" in message
    assert "providers.openai.max_retries: should be greater" in message


def test_a_flood_of_mistakes_is_cut_short():
    message = fault(config(**{f"k{number}": 1 for number in range(100)}))
    assert message.startswith("the configuration: 100 problems.") and message.endswith("and 70 more.")
    assert fault(config(active_model="${" * 100)).count("active_model") == 1


def test_a_wrong_timeout_is_not_reported_twice():
    message = fault(entry(timeout=-1))
    assert "providers.local.timeout: should be greater than 0" in message and "connect_timeout" not in message


@pytest.mark.parametrize("model", ["openai/gpt-6-luna", "openai:gpt-6-luna", "openai"])
def test_r5_ff7_a_fallback_of_another_entry_is_refused(model):
    source = config(providers={"local": {"fallback_models": ["other", model]}, "openai": {}})
    message = fault(source)
    assert f"the fallback model {model!r} of 'local' belongs to the entry 'openai'" in message


@pytest.mark.parametrize("model", ["local/x", "meta/llama", "llama:8b", "local"])
def test_r5_other_prefixes_are_the_providers_own(model):
    source = config(providers={"local": {"fallback_models": [model]}, "openai": {}})
    assert ConfigManager.load(source).providers["local"].fallback_models == [model]


@pytest.mark.parametrize("source", [3, ["a"], b"config.yaml"])
def test_a_source_of_the_wrong_type_is_an_error(source):
    assert "Pass a path, a mapping or an OrchestratorConfig" in fault(source)


def test_a_mapping_that_holds_itself_is_an_error():
    options: Dict[str, Any] = {}
    options["again"] = options
    assert "providers.local.options: nested too deeply" in fault(entry(options=options))


# ---------------------------------------------------------------- mistakes in the file


def test_a_missing_file_names_the_path_and_the_remedy(tmp_path, monkeypatch):
    missing = tmp_path / "nowhere.yaml"
    assert fault(missing) == (
        f"{missing}: the file does not exist. Write one by `llm-orchestrator init`, or pass another path."
    )
    monkeypatch.chdir(tmp_path)
    assert "config.yaml: the file does not exist" in fault(None)


def test_a_folder_and_an_unreadable_path_are_errors(tmp_path):
    assert "this is a folder or a device" in fault(tmp_path)
    assert "the file cannot be read" in fault("a\0b")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_fd8_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "PIPE_PATIENCE", 0.05)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, stat.S_IRUSR | stat.S_IWUSR)
    assert "nothing was written to this pipe for 0.05 seconds" in fault(pipe)


LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 6)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("just text", "the file is not a mapping"),
        ("- a\n- b\n", "the file is not a mapping"),
        ("a: 1\nb: [1, 2\nc: 3\n", "line 3, column 2: "),
        ("a:\n\t- b\n", "line 2, column 1: "),
        ("a: b: c\n", "line 1, column 5: "),
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: the key 'a' appears twice"),
        ("a: {b: 1, b: 2}\n", "line 1, column 11: the key 'b' appears twice"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: expected a single document in the stream"),
        ("a: !!python/object/apply:os.system ['true']\n", "line 1, column 4: "),
        ("a: !!python/name:os.system\n", "line 1, column 4: "),
        ("a: !!int x\n", "a value does not match its tag"),
        ("a: *unknown\n", "line 1, column 4: found undefined alias"),
        ("a: &a [*a]\n", "nested too deeply"),
        ("a: " + "[" * 60 + "]" * 60 + "\n", "the nesting is too deep"),
        ("{a: " * 5000, "the nesting is too deep"),
        ("? " * 5000, "the nesting is too deep"),
        (LAUGHS, "more than 100,000 values"),
        ("a: \x07\n", "config.yaml: "),
        ("? [a]\n: b\n", "line 1, column 3: "),
        ("a: ' " + " " * 1_000_000, "larger than 1,000,000 bytes"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_each_broken_file_is_one_clear_error(text, expected, tmp_path):
    path = written(tmp_path, text)
    message = fault(path)
    assert message.startswith(str(path)) and expected in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1,\n"a": 2}', "line 2, column 1: the key 'a' appears twice"),
        ('{"a": [1, {"b": 1, "b": 2}]}', "the key 'b' appears twice"),
        ('{"a": ' + "[" * 60 + "]" * 60 + "}", "the nesting is too deep"),
        ('{"a": 1\n"b": 2}', "line 2, column 4: "),
    ],
)
def test_json_is_held_to_the_rules_of_yaml(text, expected, tmp_path):
    assert expected in fault(written(tmp_path, text))


def test_json_may_be_indented_with_tabs_and_have_pairs_of_surrogates(tmp_path):
    """Neither of which YAML takes; an error about a value then names no line."""
    text = '{\n\t"active_provider": "local", "active_model": "\\ud83d\\ude00", "providers": {"local": {\n\t\t"timeout": %s}}\n}'
    assert ConfigManager.load(written(tmp_path, text % 3)).active_model == "\U0001f600"
    path = written(tmp_path, text % -1)
    assert fault(path).startswith(f"{path}: providers.local.timeout: ")


@pytest.mark.parametrize(
    "text",
    [
        '{"active_provider": "local", "active_model": "m", "providers": {"local": {}},}',
        '{"active_provider": "local", "active_model": NaN, "providers": {"local": {}}}',
        "{active_provider: local, active_model: m, providers: {local: {}}} # the end",
    ],
)
def test_what_is_not_quite_json_is_read_as_yaml(text, tmp_path):
    assert ConfigManager.load(written(tmp_path, text)).active_model in ("m", "NaN")


def test_text_that_is_not_utf8_names_the_line(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"a: 1\nb: \xff\xfe\n")
    assert fault(path) == f"{path}, line 2: the text is not valid UTF-8. Save the file as UTF-8."


def test_the_file_is_named_in_errors_about_its_values(tmp_path):
    path = written(tmp_path, "active_provider: local\nactive_model: m\nproviders: {local: {timeout: -1}}\n")
    assert fault(path).startswith(f"{path}: line 3: providers.local.timeout: ")


@pytest.mark.parametrize(("provider", "warned"), [("local", 0), ("gemini", 0), ("azure", 0), ("zzz", 1)])
def test_a_price_for_a_provider_that_is_no_entry_is_kept_and_said(provider, warned, caplog):
    prices = [{"provider": provider, "model": "m", "rates": {"in": 1}}]
    loaded = ConfigManager.load(costs(price_overrides=prices))
    assert loaded.cost_tracking.price_overrides[0].provider == provider
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        f"price_overrides has a price for {provider!r}"
    ] * warned
