"""The pydantic models of the YAML file: every key, its type, its default and its meaning.

The models are frozen and check what can be checked without the environment and the network. The checks of
variables and keys are in ``manager.py``.
"""

from __future__ import annotations

from collections import abc
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Callable, Dict, List, Literal, Mapping, Optional, Union

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from llm_orchestrator.config.frozen import FrozenDict, FrozenList
from llm_orchestrator.config.values import (
    ConfigModel,
    Count,
    Dollars,
    Frozen,
    HeaderValues,
    Items,
    ModelName,
    Number,
    Positive,
    Proxy,
    Rate,
    Section,
    Text,
    Url,
    default_section,
    replaced,
)
from llm_orchestrator.exceptions import ConfigurationError, InvalidRequestError
from llm_orchestrator.models.names import foreign_owner
from llm_orchestrator.request.options import check_entry_options
from llm_orchestrator.utils.suggestions import did_you_mean

__all__ = [
    "RATE_NAMES",
    "SECTIONS",
    "BudgetConfig",
    "CostTrackingConfig",
    "LimitsConfig",
    "ModelRegistryConfig",
    "OrchestratorConfig",
    "PriceOverride",
    "ProviderConfig",
    "TagBudgetConfig",
]

#: The names of rates; all are in US dollars per million tokens.
RATE_NAMES = (
    "in",
    "out",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "cache_write_12h",
    "audio_in",
    "audio_out",
    "audio_cache_read",
    "image_in",
    "image_out",
    "image_cache_read",
    "video_in",
)

_CONNECT_TIMEOUT = 10.0


class HttpConfig(ConfigModel):
    """The section ``http`` of an entry: how connections of the direct transport are made and kept.

    Attributes:
        proxy: URL of an HTTP proxy; empty for none; left out for the environment's.
        ca_bundle: File or folder with the certificates to trust.
        client_cert: File with the client's certificate.
        client_key: File with the key of ``client_cert``.
        verify: Whether the server's certificate is checked.
        keep_alive: Seconds that an idle connection is kept.
    """

    proxy: Proxy = Field(default=None, repr=False)
    ca_bundle: Optional[Text] = None
    client_cert: Optional[Text] = None
    client_key: Optional[Text] = None
    verify: bool = True
    keep_alive: Annotated[float, Number] = Field(default=60.0, ge=0, allow_inf_nan=False)


class LimitsConfig(ConfigModel):
    """The section ``limits`` of an entry: what the rows of one ``map`` together keep to.

    Attributes:
        requests_per_minute: Most requests to begin in a minute, spread evenly; None is no limit.
        tokens_per_minute: Most tokens to use in a minute, prompt and answer; None is no limit.
        concurrency: Most requests under way at once; None is the ``concurrency`` of the run.
    """

    requests_per_minute: Optional[Positive] = None
    tokens_per_minute: Optional[Positive] = None
    concurrency: Annotated[Optional[int], Number] = Field(default=None, gt=0)


class CompatConfig(ConfigModel):
    """The section ``compat`` of an entry: where a host that speaks OpenAI's protocol differs from OpenAI.

    Attributes:
        think_tags: The text begins with reasoning in ``<think>`` tags.
        structured_output: The form in which a schema is sent.
        stream_usage: Whether streams are asked for their usage.
        max_tokens_name: The field for ``max_tokens`` in Chat; None is the usual one.
    """

    think_tags: bool = False
    structured_output: Literal["json_schema", "json_object", "tool"] = "json_schema"
    stream_usage: bool = True
    max_tokens_name: Optional[Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")]] = None


#: A function that gives a key, sync or async.
KeyFunction = Callable[[], Any]


def _as_keys(given: Any) -> Any:
    """Refuse what is no key, in one sentence: a union would say what it is not in three."""
    for key in given if isinstance(given, (list, tuple)) else [given]:
        if key is not None and not isinstance(key, (str, SecretStr)) and not callable(key):
            raise ValueError("is not a key. Write it as a text in quotes, or several as a list of texts.")
    return [key for key in given if key is not None] if isinstance(given, (list, tuple)) else given


def _stripped(key: Union[SecretStr, KeyFunction, None]) -> Union[SecretStr, KeyFunction, None]:
    """A key as it is sent: one read from a file often ends with a newline, which no HTTP header can hold."""
    if key is not None and not isinstance(key, SecretStr):
        return key
    stripped = key.get_secret_value().strip() if key else ""
    replaced(stripped)
    if stripped.lower().startswith("bearer "):
        raise ValueError("begins with `Bearer`, which the library adds itself. Write the key alone.")
    return SecretStr(stripped) if stripped else None


class ProviderConfig(ConfigModel):
    """One entry below ``providers``.

    Attributes:
        api_key: The provider's key; an empty one is treated as missing. A list holds several, used in turn; a
            mapping may have functions in place of texts, sync or async, that give the key.
        api_key_file: A file that holds the key, read at first use.
        fallback_models: Models of the same provider to try, in order, when the first one fails.
        adapter: The protocol of the entry; by default the one with the entry's name.
        base_url: Address of the API; None is the vendor's own.
        headers: HTTP headers sent with every request; their values never appear in a repr or dump.
        timeout: Seconds to the first byte, and of silence between events; for each attempt.
        connect_timeout: Seconds to connect, never more than ``timeout``.
        total_timeout: Seconds for a whole call, retries and fallbacks included; None is no limit.
        max_retries: Retries on each model.
        max_retry_wait: Seconds; when the provider asks for a longer wait, there is no retry.
        max_continuations: How often an answer that its provider paused is continued.
        embedding_model: The model that ``embed`` asks where a call names none.
        on_unsupported_parameter: Whether a parameter that the model rejects is dropped or an error.
        allow_missing_finish_reason: Whether a stream that ends without a finish reason counts as complete.
        options: Request options used where a call gives none.
        transport: ``direct`` is over connections of the library's own, without an SDK; ``sdk`` through the
            vendor's; ``auto`` is ``direct`` where the credential is a key.
        limits: What the rows of one ``map`` together keep to.
        http: Proxy, certificates and idle connections of the direct transport.
        compat: Where a host that speaks OpenAI's protocol differs from OpenAI.
        api: Which OpenAI API to use.
        api_version: Anthropic's or Azure's API version, sent with every request; None is the adapter's own.
        model_path: The GGUF file of a local model.
        region: The region of a cloud.
        project: The project of Google's cloud that is billed.
        publisher: The publisher of the models on Vertex AI.
        models: Names of models, for a host that does not list them itself.
    """

    # `timeout` comes before `connect_timeout`, whose default and check need it.
    api_key: Annotated[
        Union[SecretStr, List[Union[SecretStr, KeyFunction]], KeyFunction, None], BeforeValidator(_as_keys)
    ] = None
    api_key_file: Optional[Text] = None
    fallback_models: Annotated[List[ModelName], Items, Frozen] = FrozenList()
    adapter: Optional[Text] = None
    base_url: Url = None
    headers: Annotated[Dict[str, str], Section, HeaderValues, Frozen] = Field(
        default=FrozenDict(), repr=False
    )
    timeout: Positive = 300.0
    connect_timeout: Annotated[float, Number] = Field(
        default_factory=lambda valid: min(_CONNECT_TIMEOUT, valid.get("timeout", _CONNECT_TIMEOUT)),
        gt=0,
        allow_inf_nan=False,
    )
    total_timeout: Optional[Positive] = 900.0
    max_retries: Count = 2
    max_retry_wait: Annotated[float, Number] = Field(default=60.0, ge=0, allow_inf_nan=False)
    max_continuations: Count = 8
    embedding_model: Optional[ModelName] = None
    on_unsupported_parameter: Literal["drop", "error"] = "drop"
    allow_missing_finish_reason: bool = False
    options: Annotated[Dict[str, Any], Section, Frozen] = FrozenDict()
    transport: Literal["auto", "direct", "sdk"] = "auto"
    limits: Annotated[LimitsConfig, Section] = default_section()
    http: Annotated[HttpConfig, Section] = default_section()
    compat: Annotated[CompatConfig, Section] = default_section()
    api: Literal["auto", "responses", "chat"] = "auto"
    api_version: Optional[Text] = None
    model_path: Optional[Text] = None
    region: Optional[Text] = None
    project: Optional[Text] = None
    publisher: Literal["google", "anthropic"] = "google"
    models: Annotated[List[ModelName], Frozen] = FrozenList()

    _unavailable: Optional[str] = PrivateAttr(default=None)

    @property
    def unavailable(self) -> Optional[str]:
        """Why the entry cannot be used, and what to do about it; None when it can."""
        return self._unavailable

    def marked(self, unavailable: Optional[str]) -> ProviderConfig:
        """Return a copy with a reason why the entry cannot be used, or the entry if nothing changes.

        Args:
            unavailable: What is missing, where, and what to do; None when nothing is.

        Returns:
            The entry, with that reason as ``unavailable``.
        """
        if unavailable == self._unavailable:
            return self
        marked = self.model_copy()
        marked._unavailable = unavailable
        return marked

    @field_validator("api_key")
    @classmethod
    def _strip_key(cls, key: Any) -> Any:
        if isinstance(key, list):
            keys = FrozenList(filter(None, map(_stripped, key)))
            return keys[0] if len(keys) == 1 else keys or None
        return _stripped(key)

    @field_validator("api_key_file")
    @classmethod
    def _only_one(cls, path: Optional[str], info: ValidationInfo) -> Optional[str]:
        if path is not None and info.data.get("api_key") is not None:
            raise ValueError("stands beside `api_key`. Remove one of them.")
        return path

    @field_validator("connect_timeout")
    @classmethod
    def _within_timeout(cls, seconds: float, info: ValidationInfo) -> float:
        if seconds > info.data.get("timeout", seconds):
            raise ValueError("is more than `timeout`. Lower it, or raise `timeout`.")
        return seconds

    @field_validator("options")
    @classmethod
    def _sensible_options(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            check_entry_options(options)
        except InvalidRequestError as error:
            raise ValueError(str(error)) from None
        return options

    @field_serializer("headers")
    def _hide_header_values(self, headers: Mapping[str, str]) -> Dict[str, str]:
        return dict.fromkeys(headers, "**********")


class PriceOverride(ConfigModel):
    """Your own prices for one model, instead of those of the price table.

    Attributes:
        provider: Name of the configured provider entry, or the vendor's.
        model: The model's exact name.
        rates: US dollars per million tokens, by the names in ``RATE_NAMES``.
        start: First day the prices are valid; None is always. The YAML key is ``from``.
        note: Where the prices come from.
    """

    provider: Text
    model: Text
    rates: Annotated[Dict[str, Rate], Frozen] = Field(min_length=1)
    start: Optional[date] = Field(default=None, alias="from")
    note: Optional[str] = None

    @field_validator("rates")
    @classmethod
    def _known_rates(cls, rates: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        unknown = [name for name in rates if name not in RATE_NAMES]
        if unknown:
            raise ValueError(f"unknown rate {unknown[0]!r}. {did_you_mean(unknown[0], RATE_NAMES)}")
        return rates


class TagBudgetConfig(ConfigModel):
    """The most that calls with one value of a tag may spend, in US dollars.

    Attributes:
        session: Most for one session; None is no limit.
        day: Most for one day; None is no limit.
        month: Most for one month; None is no limit.
    """

    session: Optional[Dollars] = None
    day: Optional[Dollars] = None
    month: Optional[Dollars] = None


class BudgetConfig(TagBudgetConfig):
    """The most that may be spent before calls are refused, in US dollars.

    With a database as the ledger a call reserves what it may cost. A CSV ledger is read before each request,
    and reserves nothing: requests in progress may exceed the budget.

    Attributes:
        session: Most for one session; None is no limit.
        day: Most for one day; None is no limit.
        month: Most for one month; None is no limit.
        tags: The same for each value of a tag, by the tag's name.
        timezone: Where days and months begin, such as ``Europe/Berlin``; None is local time, and UTC for a
            database.
        month_starts_on: The day on which months begin, from 1 to 28.
        reserve: Whether calls reserve what they may cost; only in a database.
        on_unreachable: Whether a call is allowed or refused while the database cannot be asked.
    """

    tags: Annotated[Dict[Text, Annotated[TagBudgetConfig, Section]], Frozen, Section] = FrozenDict()
    timezone: Optional[Text] = None
    month_starts_on: Annotated[int, Number] = Field(default=1, ge=1, le=28)
    reserve: bool = True
    on_unreachable: Literal["allow", "refuse"] = "allow"

    @property
    def is_set(self) -> bool:
        """Whether there is any limit."""
        return any(_has_limit(budget) for budget in (self, *self.tags.values()))

    @field_validator("tags")
    @classmethod
    def _plain_names(cls, tags: Mapping[str, Any]) -> Mapping[str, Any]:
        for name in tags:
            if "=" in name:
                raise ValueError(f"has the name {name!r}. Write the tag alone: every value has this budget.")
        return tags

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: Optional[str]) -> Optional[str]:
        if name is not None:
            from llm_orchestrator.usage.periods import zone_of  # few files name one

            try:
                zone_of(name)
            except ConfigurationError as error:
                raise ValueError(str(error)) from None
        return name


def _has_limit(budget: TagBudgetConfig) -> bool:
    return any(most is not None for most in (budget.session, budget.day, budget.month))


class CostTrackingConfig(ConfigModel):
    """The section ``cost_tracking``.

    Attributes:
        enabled: Whether calls are counted and priced at all.
        database_url: A database as the ledger, in place of ``log_path``.
        spool_path: The folder where rows wait on their way to the database; None is one beside the user's
            cache of models.
        log_path: The CSV ledger; None counts in memory, where there is no ``database_url``.
        fsync: Whether every row is flushed to disk before the call returns.
        rotate_mb: Megabytes after which a new ledger file is started; None is never.
        strict_pricing: Whether a model without a known price is refused before anything is sent.
        stale_after_days: Age in days after which the price table counts as out of date.
        discount: Factor on every list price; 0.9 is ten percent off.
        price_overrides: Your own prices.
        budget: The most that may be spent.
    """

    enabled: bool = True
    database_url: Optional[SecretStr] = None  # it may hold a password
    spool_path: Optional[Text] = None
    log_path: Optional[Text] = "./llm_costs.csv"
    fsync: bool = False
    rotate_mb: Optional[Positive] = None
    strict_pricing: bool = False
    stale_after_days: Annotated[int, Number] = Field(default=30, gt=0)
    discount: Annotated[Decimal, Number] = Field(default=Decimal(1), gt=0)
    price_overrides: Annotated[List[PriceOverride], Items, Frozen] = FrozenList()
    budget: Annotated[BudgetConfig, Section] = default_section()

    @model_validator(mode="before")
    @classmethod
    def _is_one_ledger(cls, values: Any) -> Any:
        """Leave out the CSV file where there is a database."""
        if isinstance(values, abc.Mapping) and values.get("database_url"):
            return {**values, "log_path": values.get("log_path")}
        return values

    @field_validator("database_url")
    @classmethod
    def _strip_url(cls, url: Optional[SecretStr]) -> Optional[SecretStr]:
        stripped = replaced(url.get_secret_value().strip()) if url else ""
        return SecretStr(stripped) if stripped else None

    @field_validator("spool_path", "log_path", "rotate_mb")
    @classmethod
    def _fits_the_ledger(cls, value: Any, info: ValidationInfo) -> Any:
        has_database = info.data.get("database_url") is not None
        if value is not None and has_database and info.field_name != "spool_path":
            raise ValueError("is for a CSV file, and database_url names a database. Remove one of the two.")
        if value is not None and not has_database and info.field_name == "spool_path":
            raise ValueError("has no effect without database_url. Set that, or remove this.")
        return value

    @field_validator("budget")
    @classmethod
    def _is_counted(cls, budget: BudgetConfig, info: ValidationInfo) -> BudgetConfig:
        if info.data.get("enabled") is False and budget.is_set:
            raise ValueError("has no effect without `enabled: true`. Set that, or remove the budget.")
        return budget


class ModelRegistryConfig(ConfigModel):
    """The section ``model_registry``.

    Attributes:
        cache_path: The JSON file with the lists of models; None is a file in the user's cache folder.
    """

    cache_path: Optional[Text] = None


class OrchestratorConfig(ConfigModel):
    """The whole configuration, checked and frozen.

    Attributes:
        providers: The provider entries by name.
        active_provider: Name of the entry that is used.
        active_model: The model it is asked for.
        cost_tracking: How calls are recorded; without the section in memory only.
        model_registry: Where the lists of models are stored.
    """

    # `providers` comes first, because `active_provider` is checked against it.
    providers: Annotated[Dict[str, ProviderConfig], Frozen] = Field(min_length=1)
    active_provider: Text
    active_model: ModelName
    cost_tracking: Annotated[CostTrackingConfig, Section] = default_section(log_path=None)
    model_registry: Annotated[ModelRegistryConfig, Section] = default_section()

    @field_validator("providers", mode="before")
    @classmethod
    def _named_adapters(cls, entries: Any) -> Any:
        if not isinstance(entries, abc.Mapping):
            return entries
        return {name: _with_adapter(name, entry) for name, entry in entries.items()}

    @field_validator("providers")
    @classmethod
    def _own_fallbacks(cls, entries: Mapping[str, ProviderConfig]) -> Mapping[str, ProviderConfig]:
        for name, entry in entries.items():
            for model in entry.fallback_models:
                owner = model if model in entries and model != name else foreign_owner(model, name, entries)
                # An entry with another adapter may be a gateway, whose model names begin with the vendor's.
                if owner and entry.adapter == name:
                    raise ValueError(
                        f"the fallback model {model!r} of {name!r} belongs to the entry {owner!r}. "
                        "Fallbacks stay within one provider; use one of its own models."
                    )
        return entries

    @field_validator("active_model")
    @classmethod
    def _not_its_own_fallback(cls, model: str, info: ValidationInfo) -> str:
        entry = (info.data.get("providers") or {}).get(info.data.get("active_provider"))
        if entry is not None and model in entry.fallback_models:
            raise ValueError(
                f"{model!r} is also a fallback model of {info.data['active_provider']!r}, which is the same "
                "model. Remove it from fallback_models."
            )
        return model

    @field_validator("active_provider")
    @classmethod
    def _configured(cls, name: str, info: ValidationInfo) -> str:
        entries = info.data.get("providers")
        if entries is not None and name not in entries:
            raise ValueError(f"{name!r} is not an entry below `providers`. {did_you_mean(name, entries)}")
        return name


def _with_adapter(name: Any, entry: Any) -> Any:
    """Fill in the default adapter, the entry's name; YAML reads an entry with nothing below it as null."""
    if not isinstance(name, str):
        return entry
    if isinstance(entry, ProviderConfig):
        return entry if entry.adapter else entry.model_copy(update={"adapter": name})
    if entry is None or isinstance(entry, abc.Mapping):
        settings = dict(entry or {})
        return {**settings, "adapter": settings.get("adapter") or name}
    return entry


#: The model of each section by its key; "" is the whole file.
SECTIONS: Mapping[str, Any] = {
    "": OrchestratorConfig,
    "providers": ProviderConfig,
    "cost_tracking": CostTrackingConfig,
    "limits": LimitsConfig,
    "http": HttpConfig,
    "compat": CompatConfig,
    "price_overrides": PriceOverride,
    "budget": BudgetConfig,
    "tags": TagBudgetConfig,
    "model_registry": ModelRegistryConfig,
}
