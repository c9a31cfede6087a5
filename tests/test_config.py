"""The configuration: what loads, how variables and keys are treated, and that its reference is complete."""

# Fixtures are imported without being called.
# ruff: noqa: F401
from __future__ import annotations

import copy
import pickle
import re
from decimal import Decimal
from typing import Any, Dict, Mapping

import pytest
import yaml
from pydantic import ValidationError

from llm_orchestrator import ConfigurationError
from llm_orchestrator.calls.tracker import configured_tracker
from llm_orchestrator.config import yaml_text
from llm_orchestrator.config.cost_tracking import RATE_NAMES
from llm_orchestrator.config.manager import ConfigManager, OrchestratorConfig, ProviderConfig
from llm_orchestrator.config.schema import SECTIONS
from tests.support.configs import (
    KEY,
    LOCAL,
    ROOT,
    config,
    costs,
    entry,
    fault,
    no_keys,
    schema_built,
    written,
)


def test_the_example_file_loads_and_shows_every_key(monkeypatch):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, KEY)
    path = ROOT / "config.example.yaml"

    loaded = ConfigManager.load_config(path)

    assert [entry.unavailable for entry in loaded.providers.values()] == [None] * 6
    assert loaded.providers["ollama"].base_url == "http://localhost:11434/v1"
    text = path.read_text("utf-8")
    for model in SECTIONS.values():
        for name, field in model.model_fields.items():
            assert re.search(rf"^[\s-]*{field.alias or name}:", text, re.MULTILINE), f"{name} is not shown"


def test_only_the_active_key_is_needed_for_the_example_file(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    loaded = ConfigManager.load_config(str(ROOT / "config.example.yaml"))
    assert loaded.providers["openai"].unavailable is None
    assert "ANTHROPIC_API_KEY" in str(loaded.providers["anthropic"].unavailable)


def test_a_file_of_four_lines_gets_every_default(tmp_path):
    path = written(
        tmp_path, "active_provider: local\nactive_model: m\nproviders:\n  local: {model_path: m.gguf}\n"
    )
    loaded = ConfigManager.load_config(path)
    local = loaded.providers["local"]
    assert (local.adapter, local.timeout, local.connect_timeout, local.total_timeout) == (
        "local",
        300,
        10,
        900,
    )
    assert (local.max_retries, local.max_retry_wait, local.fallback_models) == (2, 60, [])
    assert (local.on_unsupported_parameter, local.api, local.api_version) == ("drop", "auto", None)
    assert loaded.cost_tracking.log_path is None, "without the section no file may be written"
    assert loaded.model_registry.cache_path is None


def test_a_cost_section_that_is_there_names_the_ledger():
    assert ConfigManager.load(costs()).cost_tracking.log_path == "./llm_costs.csv"
    assert ConfigManager.load(config(cost_tracking=None)).cost_tracking.log_path == "./llm_costs.csv"
    assert ConfigManager.load(costs(log_path=None)).cost_tracking.log_path is None


def test_a_list_or_section_with_every_line_commented_out_is_empty() -> None:
    loaded = ConfigManager.load(entry(options=None, headers=None, fallback_models=None)).providers["local"]
    assert (loaded.options, loaded.headers, loaded.fallback_models) == ({}, {}, [])
    assert ConfigManager.load(costs(price_overrides=None)).cost_tracking.price_overrides == []


def test_money_is_exact():
    override = {"provider": "local", "model": "m", "rates": {"in": 0.1, "out": "0.30"}, "from": "2026-02-03"}
    loaded = ConfigManager.load(
        costs(discount=0.9, budget={"day": "10.50"}, price_overrides=[override])
    ).cost_tracking
    assert loaded.discount == Decimal("0.9")
    assert (loaded.budget.day, loaded.budget.session) == (Decimal("10.50"), None)
    assert loaded.price_overrides[0].rates == {"in": Decimal("0.1"), "out": Decimal("0.30")}
    assert str(loaded.price_overrides[0].start) == "2026-02-03"


def test_budgets_of_months_tags_and_zones():
    budget = {"month": 300, "tags": {"customer": {"month": "0.1"}, "team": None}, "timezone": "Europe/Berlin"}
    loaded = ConfigManager.load(costs(budget={**budget, "month_starts_on": 15})).cost_tracking.budget
    assert (loaded.month, loaded.tags["customer"].month) == (300, Decimal("0.1"))
    assert (loaded.timezone, loaded.month_starts_on, loaded.reserve) == ("Europe/Berlin", 15, True)
    assert loaded.on_unreachable == "allow"
    assert ConfigManager.load(costs(budget={"tags": None})).cost_tracking.budget.tags == {}
    with pytest.raises(TypeError, match="frozen"):
        loaded.tags["another"] = loaded.tags["customer"]


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        ({"timezone": "Europe/Bonn"}, r"budget\.timezone: There is no time zone 'Europe/Bonn'"),
        ({"month_starts_on": 31}, r"budget\.month_starts_on: should be less than or equal to 28"),
        ({"on_unreachable": "maybe"}, r"budget\.on_unreachable: should be 'allow' or 'refuse'"),
        ({"tags": {"customer": {"monht": 1}}}, r"budget\.tags\.customer\.monht: unknown key.*'month'"),
        ({"tags": {"limits": {"dya": 1}}}, r"budget\.tags\.limits\.dya: unknown key.*'day'"),
        ({"tags": {"customer=acme": {"day": 1}}}, r"budget\.tags: has the name 'customer=acme'"),
        ({"mont": 1}, r"budget\.mont: unknown key.*'month'"),
        ({"month": 0}, r"budget\.month: should be greater than 0"),
    ],
)
def test_budgets_that_cannot_be_kept(budget, text):
    with pytest.raises(ConfigurationError, match=text):
        ConfigManager.load(costs(budget=budget))


def test_a_reservation_without_a_database_is_said(caplog):
    for budget in ({"day": 1}, {"day": 1, "reserve": False}, {"reserve": True}):
        configured_tracker(ConfigManager.load(costs(budget=budget, log_path=None)).cost_tracking)
    assert caplog.messages == []
    configured_tracker(
        ConfigManager.load(costs(budget={"day": 1, "reserve": True}, log_path=None)).cost_tracking
    )
    assert len(caplog.messages) == 1 and "reserve has no effect on a CSV ledger" in caplog.messages[0]


def test_every_known_rate_is_accepted():
    override = {"provider": "local", "model": "m", "rates": dict.fromkeys(RATE_NAMES, "1")}
    assert (
        len(ConfigManager.load(costs(price_overrides=[override])).cost_tracking.price_overrides[0].rates)
        == 13
    )


def test_total_timeout_may_be_switched_off():
    assert ConfigManager.load(entry(total_timeout=None)).providers["local"].total_timeout is None


@pytest.mark.parametrize(("settings", "expected"), [({"timeout": 5}, 5), ({"timeout": 20}, 10), ({}, 10)])
def test_the_default_connect_timeout_follows_a_shorter_timeout(settings, expected):
    assert ConfigManager.load(entry(**settings)).providers["local"].connect_timeout == expected


def test_an_unquoted_date_stays_text(tmp_path):
    text = "active_provider: local\nactive_model: m\nproviders: {local: {api_version: 2023-06-01}}\n"
    assert ConfigManager.load(written(tmp_path, text)).providers["local"].api_version == "2023-06-01"


def test_a_byte_order_mark_and_anchors_are_fine(tmp_path):
    text = (
        "\ufeffactive_provider: a\nactive_model: m\nproviders:\n"
        "  a: &usual {adapter: local, timeout: 20}\n  b: {<<: *usual, max_retries: 5}\n"
    )
    loaded = ConfigManager.load(written(tmp_path, text))
    assert (loaded.providers["b"].timeout, loaded.providers["b"].max_retries) == (20, 5)


def test_the_source_is_looked_up_in_the_documented_order(tmp_path, monkeypatch):
    text = "active_provider: local\nactive_model: {}\nproviders: {{local: }}\n"
    (tmp_path / "config.yaml").write_text(text.format("from-folder"), "utf-8")
    other = tmp_path / "other.yaml"
    other.write_text(text.format("from-variable"), "utf-8")
    monkeypatch.chdir(tmp_path)

    assert ConfigManager.load().active_model == "from-folder"
    monkeypatch.setenv("LLM_ORCHESTRATOR_CONFIG", str(other))
    assert ConfigManager().load().active_model == "from-variable"
    assert ConfigManager.load(config()).active_model == "model"


def test_an_empty_base_url_is_the_vendors_own():
    assert ConfigManager.load(entry(base_url="${UNSET_URL:-}")).providers["local"].base_url is None


def test_entries_may_be_made_in_python():
    entries = {"local": ProviderConfig(model_path="m.gguf"), "twin": ProviderConfig(adapter="local")}
    loaded = ConfigManager.load(config(providers=entries))
    assert [entry.adapter for entry in loaded.providers.values()] == ["local", "local"]


def test_a_loaded_configuration_loads_again():
    loaded = ConfigManager.load(LOCAL)
    assert ConfigManager.load(loaded) == loaded


# ---------------------------------------------------------------- frozen


def test_nothing_can_be_changed_after_loading():
    settings = {"fallback_models": ["b"], "headers": {"X-A": "1"}, "options": {"metadata": {"team": ["x"]}}}
    loaded = ConfigManager.load(entry(**settings))
    local = loaded.providers["local"]

    for change in (
        lambda: setattr(loaded, "active_model", "other"),
        lambda: setattr(local, "timeout", 1),
    ):
        with pytest.raises(ValidationError):
            change()
    for change in (
        lambda: loaded.providers.update(x=local),
        lambda: loaded.providers.__setitem__("x", local),
        lambda: local.fallback_models.append("x"),
        lambda: local.headers.pop("X-A"),
        lambda: local.options["metadata"]["team"].append("y"),
        lambda: local.options["metadata"].setdefault("a", 1),
    ):
        with pytest.raises(TypeError, match="frozen"):
            change()
    assert local.options == settings["options"]


def test_the_callers_mapping_is_not_touched_and_not_kept():
    options = {"metadata": {"team": "x"}}
    source = entry(options=options)
    before = copy.deepcopy(source)
    loaded = ConfigManager.load(source)
    assert source == before
    options["metadata"]["team"] = "changed"
    assert loaded.providers["local"].options["metadata"]["team"] == "x"


def test_a_configuration_copies_and_pickles(monkeypatch):
    loaded = ConfigManager.load(
        {
            "active_provider": "local",
            "active_model": "m",
            "providers": {"local": {"options": {"a": [1]}}, "openai": {}},
        }
    )
    for twin in (copy.deepcopy(loaded), pickle.loads(pickle.dumps(loaded))):
        assert twin == loaded
        assert twin.providers["openai"].unavailable == loaded.providers["openai"].unavailable
        with pytest.raises(TypeError, match="frozen"):
            twin.providers["local"].options["a"].append(2)


# ---------------------------------------------------------------- variables


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "one"),
        ("a ${A} b ${B:-two} c", "a one b two c"),
        ("${EMPTY:-two}", "two"),
        ("${EMPTY}", ""),
        ("${UNSET:-}", ""),
        ("${UNSET:-a:-b ${A}", "a:-b ${A"),
        ("$${A}", "${A}"),
        ("$A $ {A} 5$", "$A $ {A} 5$"),
        ("${TRICKY}", "x: {y: ${A}}"),
    ],
)
def test_variables_are_filled_in(text, expected, monkeypatch):
    for name, value in {"A": "one", "EMPTY": "", "TRICKY": "x: {y: ${A}}"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("UNSET", raising=False)
    loaded = ConfigManager.load(entry(options={"nested": [{"text": text}]}))
    assert loaded.providers["local"].options["nested"][0]["text"] == expected


def test_variables_become_numbers_and_switches(monkeypatch):
    monkeypatch.setenv("T", "12.5")
    local = ConfigManager.load(
        entry(timeout="${T}", max_retries="${R:-4}", allow_missing_finish_reason="${S:-true}")
    ).providers["local"]
    assert (local.timeout, local.max_retries, local.allow_missing_finish_reason) == (12.5, 4, True)


def test_a_variable_cannot_add_yaml(tmp_path, monkeypatch):
    monkeypatch.setenv("EVIL", "m\nactive_provider: other")
    path = written(tmp_path, "active_provider: local\nactive_model: ${EVIL}\nproviders: {local: }\n")
    assert ConfigManager.load(path).active_model == "m\nactive_provider: other"


@pytest.mark.parametrize(
    ("source", "where"),
    [
        (config(active_model="${UNSET}"), "active_model"),
        (entry(timeout="${UNSET}"), "providers.local.timeout"),
        (entry(options={"a": ["x${UNSET}"]}), "providers.local.options.a[0]"),
        (costs(log_path="${UNSET}/x.csv"), "cost_tracking.log_path"),
        (config(active_provider="${UNSET}"), "active_provider"),
    ],
)
def test_a_missing_variable_is_named_once_with_its_key(source, where, monkeypatch):
    monkeypatch.delenv("UNSET", raising=False)
    assert fault(source) == (
        f"the configuration: {where}: the environment variable UNSET is not set. "
        "Set it, or write ${UNSET:-default}."
    )


@pytest.mark.parametrize("text", ["${}", "${1A}", "${A-b}", "${A", "${sk-secret}"])
def test_a_reference_that_cannot_be_read_is_an_error(text, monkeypatch):
    monkeypatch.setenv("A", "x")
    message = fault(config(active_model=text))
    assert "active_model: has a ${...} that is not valid. Write ${NAME} or ${NAME:-default}." in message
    assert "secret" not in message


def test_an_inactive_provider_with_a_missing_variable_is_kept_and_says_why(tmp_path, monkeypatch):
    monkeypatch.delenv("UNSET", raising=False)
    text = (
        "active_provider: local\nactive_model: m\nproviders:\n  local:\n"
        "  anthropic: {api_key: '${ANTHROPIC_API_KEY}', timeout: '${UNSET}', max_retries: 7}\n"
    )
    path = written(tmp_path, text)
    anthropic = ConfigManager.load(path).providers["anthropic"]
    assert anthropic.max_retries == 7
    reason = str(anthropic.unavailable)
    assert reason.startswith(f"{path}: 2 problems.")
    assert "providers.anthropic.api_key: the environment variable ANTHROPIC_API_KEY is not set" in reason
    assert "providers.anthropic.timeout: the environment variable UNSET is not set" in reason


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize("settings", [{}, {"api_key": ""}, {"api_key": "  "}, {"api_key": None}])
@pytest.mark.parametrize("adapter", ["openai", "anthropic", "gemini"])
def test_the_active_vendor_needs_a_key(adapter, settings):
    source = {
        "active_provider": "mine",
        "active_model": "m",
        "providers": {"mine": {"adapter": adapter, **settings}},
    }
    assert fault(source) == (
        "the configuration: providers.mine.api_key: missing or empty. "
        f"Write `api_key: ${{{adapter.upper()}_API_KEY}}` and set that variable."
    )


def test_an_inactive_vendor_without_a_key_is_unavailable():
    loaded = ConfigManager.load(config(providers={"local": {}, "openai": {}}))
    assert "providers.openai.api_key: missing or empty" in str(loaded.providers["openai"].unavailable)
    assert loaded.providers["local"].unavailable is None


@pytest.mark.parametrize(
    "settings",
    [{"adapter": "local"}, {"adapter": "openai", "base_url": "http://h/v1"}, {"adapter": "of-a-plugin"}],
)
def test_others_need_no_key(settings):
    source = {"active_provider": "mine", "active_model": "m", "providers": {"mine": settings}}
    assert ConfigManager.load(source).providers["mine"].api_key is None


def test_a_key_is_stripped(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    source = {
        "active_provider": "openai",
        "active_model": "m",
        "providers": {"openai": {"api_key": "${OPENAI_API_KEY}"}},
    }
    key = ConfigManager.load(source).providers["openai"].api_key
    assert key is not None and key.get_secret_value() == KEY


def test_k1_no_key_in_any_rendering(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    settings = {"api_key": "${OPENAI_API_KEY}", "headers": {"Authorization": f"Bearer {KEY}"}}
    loaded = ConfigManager.load(
        {"active_provider": "openai", "active_model": "m", "providers": {"openai": settings}}
    )
    assert loaded.providers["openai"].headers["Authorization"] == f"Bearer {KEY}"
    for shown in (repr(loaded), str(loaded), loaded.model_dump_json(), repr(loaded.model_dump())):
        assert KEY not in shown
    assert '"Authorization":"**********"' in loaded.model_dump_json()


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": [[KEY]]},
        {"api_key": {"value": KEY}},
        {"headers": KEY},
        {"headers": {"Authorization": [KEY]}},
        {"base_url": KEY},
        {"base_url": f"https://user:{KEY}@host/v1"},
        {"timeout": KEY},
        {"api": KEY},
        {"max_retries": KEY},
        {"fallback_models": KEY},
        {"options": KEY},
        KEY,
    ],
)
def test_k1_no_key_in_any_error(settings):
    source = {"active_provider": "openai", "active_model": "m", "providers": {"openai": settings}}
    message = fault(source)
    assert KEY not in message and "providers.openai" in message


def test_k1_no_key_in_pydantics_own_error():
    with pytest.raises(ValidationError) as caught:
        ProviderConfig.model_validate({"api_key": [KEY], "timeout": KEY})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        f"api_key: '{KEY}",
        f"api_key: [{KEY}",
        f"api_key: !!int {KEY}",
        f"api_key: !!bool {KEY}",
        f"{KEY}: :\n a",
    ],
)
def test_k1_no_key_in_a_yaml_error(line, tmp_path, monkeypatch):
    for loader in (yaml_text._SafeLoader, yaml.SafeLoader):
        monkeypatch.setattr(yaml_text, "_SafeLoader", loader)
        assert KEY not in fault(written(tmp_path, f"providers:\n  openai:\n    {line}\n"))


# ---------------------------------------------------------------- providers handed in by the application


def test_given_providers_need_no_entry_and_no_key():
    source = {
        "active_provider": "fake",
        "active_model": "m",
        "providers": {"openai": {"api_key": "${OPENAI_API_KEY}"}},
    }
    loaded = ConfigManager.load(source, given_providers=["fake", "openai"])
    assert loaded.providers["fake"].adapter == "fake"
    assert loaded.providers["openai"].unavailable is None


def test_given_providers_make_up_for_a_missing_section():
    loaded = ConfigManager.load({"active_provider": "fake", "active_model": "m"}, given_providers=["fake"])
    assert list(loaded.providers) == ["fake"]


def test_given_providers_are_added_to_a_loaded_configuration():
    loaded = ConfigManager.load(config(providers={"local": {}, "openai": {}}))
    assert loaded.providers["openai"].unavailable
    again = ConfigManager.load(loaded, given_providers=["fake", "openai"])
    assert [name for name, entry in again.providers.items() if entry.unavailable is None] == [
        "local",
        "openai",
        "fake",
    ]


def test_what_an_entry_lacked_stays_known_when_the_configuration_is_used(monkeypatch):
    monkeypatch.delenv("UNSET", raising=False)
    source = config(providers={"local": {}, "mine": {"base_url": "${UNSET}", "api_key": "k"}})
    again = ConfigManager.load(ConfigManager.load(source))
    assert "UNSET" in again.providers["mine"].unavailable, "its key would go to another host"
    assert "UNSET" in fault(again.model_copy(update={"active_provider": "mine"}))


@pytest.mark.parametrize(
    ("needed", "told"), [(None, "openai"), (["openai"], "openai"), (["mine"], None), ([], None)]
)
def test_only_the_entries_that_are_needed_must_lack_nothing(needed, told):
    source = config(active_provider="openai", providers={"openai": {}, "mine": {}})
    if told:
        assert f"providers.{told}.api_key" in fault(source, needed=needed)
    else:
        assert ConfigManager.load(source, needed=needed).providers["openai"].unavailable


def test_a_given_provider_excuses_its_key_alone(monkeypatch):
    monkeypatch.delenv("UNSET", raising=False)
    source = {"active_provider": "fake", "active_model": "m", "providers": {"fake": {"timeout": "${UNSET}"}}}
    assert "providers.fake.timeout" in fault(source, given_providers=["fake"])


# ---------------------------------------------------------------- the reference


def test_the_reference_documents_every_key_with_its_default():
    documented = _documented()
    for model, section in {
        OrchestratorConfig: "The top level",
        ProviderConfig: "`providers.<name>`",
        SECTIONS["http"]: "`providers.<name>.http`",
        SECTIONS["compat"]: "`providers.<name>.compat`",
        SECTIONS["cost_tracking"]: "`cost_tracking`",
        SECTIONS["price_overrides"]: "`cost_tracking.price_overrides[]`",
        SECTIONS["budget"]: "`cost_tracking.budget`",
        SECTIONS["model_registry"]: "`model_registry`",
    }.items():
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        assert documented[section].keys() == fields.keys()
        for name, field in fields.items():
            default = documented[section][name]
            if field.is_required():
                assert default == "required", name
            elif default.startswith("`"):
                assert default.strip("`") == _as_yaml(
                    field.get_default(call_default_factory=True, validated_data={})
                )


def test_the_reference_lists_every_rate():
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert ", ".join(f"`{name}`" for name in RATE_NAMES) in text


def _documented() -> Mapping[str, Dict[str, str]]:
    """The default of every key in the reference, by the heading of its table."""
    sections: Dict[str, Dict[str, str]] = {}
    rows: Dict[str, str] = {}
    for line in (ROOT / "docs" / "configuration.md").read_text("utf-8").splitlines():
        if line.startswith("#"):
            rows = sections.setdefault(line.lstrip("# "), {})
        row = re.match(r"\| `(\w+)` \| (.+?) \| .+ \|$", line)
        if row:
            rows[row[1]] = row[2]
    return sections


def _as_yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
