"""The pydantic model of one entry below ``providers``: its key, models, time limits and connections."""

# Annotations are values here, not texts: pydantic would evaluate each, which every start would wait for.

from typing import Annotated, Any, Callable, Dict, List, Literal, Mapping, Optional, Union

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from llm_orchestrator.config.frozen import FrozenDict, FrozenList
from llm_orchestrator.config.values import (
    ConfigModel,
    Count,
    Frozen,
    HeaderValues,
    HiddenValues,
    Items,
    ModelName,
    Number,
    Positive,
    Proxy,
    Section,
    Text,
    Url,
    default_section,
    replaced,
)
from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.request.options import check_entry_options

__all__ = ["CompatConfig", "HttpConfig", "LimitsConfig", "ProviderConfig"]

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
    headers: Annotated[Dict[str, str], Section, HeaderValues, Frozen, HiddenValues] = Field(
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

    def marked(self, unavailable: Optional[str]) -> "ProviderConfig":
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
