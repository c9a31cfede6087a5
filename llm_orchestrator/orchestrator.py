"""The facade: one object that reads the configuration and sends requests to the active provider.

It wires the parts together. How a call is made is in ``calls/factory.py``, how it runs in ``calls/call.py``
and ``policy.py``, what a provider understands in its adapter. One orchestrator serves many threads and many
event loops at once.
"""

from __future__ import annotations

import copy
import os
import threading
from decimal import Decimal
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Coroutine,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
    overload,
)

from llm_orchestrator.calls.providers import ProviderSet
from llm_orchestrator.calls.shared import SharedState
from llm_orchestrator.calls.tracker import configured_tracker, warn_of_unused_settings
from llm_orchestrator.config.manager import ConfigManager, OrchestratorConfig
from llm_orchestrator.cost_tracker import CostTracker
from llm_orchestrator.exceptions import unreadable_module
from llm_orchestrator.models.registry import ModelRegistry
from llm_orchestrator.request.arguments import CallArguments, call_arguments, hide_headers
from llm_orchestrator.request.embedding import embedding_arguments
from llm_orchestrator.request.signatures import call_parameters, embedding_parameters
from llm_orchestrator.types import EmbeddingResponse, LLMResponse, Messages
from llm_orchestrator.utils.lazy import LazyModule
from llm_orchestrator.utils.signatures import shares_parameters_with, takes_parameters_of

if TYPE_CHECKING:
    from llm_orchestrator import bulk, conversation, streaming
    from llm_orchestrator import hooks as hook_types
    from llm_orchestrator.bulk import job as bulk_jobs
    from llm_orchestrator.calls import call, factory, signatures
    from llm_orchestrator.calls import rows as row_calls
    from llm_orchestrator.calls import vector_rows as vector_calls
    from llm_orchestrator.calls import warm_up as warming
    from llm_orchestrator.frameworks import openai as openai_shape
    from llm_orchestrator.providers import base
    from llm_orchestrator.usage import limits
else:  # most programs start without these, and some never need them
    bulk = LazyModule("llm_orchestrator.bulk", unreadable_module)
    bulk_jobs = LazyModule("llm_orchestrator.bulk.job", unreadable_module)
    conversation = LazyModule("llm_orchestrator.conversation", unreadable_module)
    hook_types = LazyModule("llm_orchestrator.hooks")
    streaming = LazyModule("llm_orchestrator.streaming", unreadable_module)
    call = LazyModule("llm_orchestrator.calls.call", unreadable_module)
    row_calls = LazyModule("llm_orchestrator.calls.rows", unreadable_module)
    vector_calls = LazyModule("llm_orchestrator.calls.vector_rows", unreadable_module)
    factory = LazyModule("llm_orchestrator.calls.factory", unreadable_module)
    warming = LazyModule("llm_orchestrator.calls.warm_up", unreadable_module)
    openai_shape = LazyModule("llm_orchestrator.frameworks.openai", unreadable_module)
    base = LazyModule("llm_orchestrator.providers.base")
    limits = LazyModule("llm_orchestrator.usage.limits")

__all__ = ["LLMOrchestrator"]


class LLMOrchestrator:
    """Talks to the active provider of a configuration, for many threads and event loops at once.

    Construction touches no network; vendor SDKs are imported when they are first used.

    Args:
        config: A path, a mapping shaped like the YAML file, or an OrchestratorConfig; None is the file that
            ``$LLM_ORCHESTRATOR_CONFIG`` names, then ``./config.yaml``.
        providers: Providers made by the application, by name; they count before those of the configuration.
        registry: A model registry to use instead of the configured one.
        cost_tracker: A cost tracker to use instead of the configured one; it has its own ledger, prices and
            budget, and the section ``cost_tracking`` is not used.
        session_id: The session that costs are counted for; None makes a new one.
        hooks: Functions that are called after every attempt and every call.

    Raises:
        ConfigurationError: Something is wrong with the configuration; the text lists everything found.
        TypeError: A hook would never record anything, for instance because it is a coroutine function.

    Attributes:
        config: The configuration, frozen.
        registry: What is known about the providers' models.
        session_id: The session that costs are counted for.
        active_provider: Name of the provider entry that answers.
        active_model: The model it is asked for when a call names none.
        is_sibling: Whether ``for_provider`` made it.
    """

    active_model: Optional[str]

    def __init__(
        self,
        config: Union[str, os.PathLike[str], Mapping[str, Any], OrchestratorConfig, None] = None,
        *,
        providers: Optional[Mapping[str, base.BaseLLMProvider]] = None,
        registry: Optional[ModelRegistry] = None,
        cost_tracker: Optional[CostTracker] = None,
        session_id: Optional[str] = None,
        hooks: Sequence[hook_types.Hook] = (),
    ) -> None:
        checked = _checked(hooks) if hooks else ()
        given = dict(providers or {})
        self.config = ConfigManager.load(config, given_providers=tuple(given))
        self._providers = ProviderSet(self.config, given)
        cache_path = self.config.model_registry.cache_path
        self.registry = registry or ModelRegistry(
            self._providers, cache_path, addresses=self._providers.addresses()
        )
        self.session_id = session_id or (cost_tracker.session_id if cost_tracker else os.urandom(16).hex())
        if cost_tracker:
            warn_of_unused_settings(self.config.cost_tracking)
        tracker = cost_tracker or configured_tracker(self.config.cost_tracking, self.session_id)
        self.active_provider: str = self.config.active_provider
        self.active_model = self.config.active_model
        self._shared = SharedState(tracker, checked, self.session_id)
        self._call_factory: Optional[factory.CallFactory] = None
        self.is_sibling = False

    def __repr__(self) -> str:
        return (
            f"LLMOrchestrator(active_provider={self.active_provider!r}, active_model={self.active_model!r})"
        )

    # ---------------------------------------------------------------- calls

    if TYPE_CHECKING:

        @overload
        @signatures.whole(signatures.typed_call)
        def send_request(self) -> Any: ...

        @overload
        @takes_parameters_of(call_parameters)
        def send_request(self) -> LLMResponse: ...

    @takes_parameters_of(call_parameters)  # its parameters, too, are documented here
    def send_request(self, messages: Messages, **arguments: Any) -> LLMResponse:  # noqa: D417
        """Ask for a whole answer. A parameter left at None is not sent.

        Args:
            messages: One user turn as a text, or a conversation: dicts in the OpenAI Chat form (roles system,
                user, assistant, tool; content a text or a list of parts), ``Message`` objects, or a mix.
            model: A model of the active provider; None for ``active_model``.
            temperature: Sampling temperature, from 0; the highest value allowed is the provider's.
            max_tokens: Most tokens to write, reasoning included. Anthropic requires one: 16000 when left out.
            top_p: Share of the probability mass to sample from, 0 to 1.
            top_k: Number of candidates to sample from.
            stop: A text, or texts, that end the answer.
            seed: Seed for repeatable sampling.
            frequency_penalty: Penalty for frequent tokens, -2 to 2.
            presence_penalty: Penalty for tokens already present, -2 to 2.
            tools: Python functions, pydantic classes, or dicts in the OpenAI Chat form.
            tool_choice: ``auto``, ``none``, ``required``, a tool's name, or the OpenAI dict.
            parallel_tool_calls: Whether the model may ask for several calls at once.
            response_format: A pydantic class, or any other type that pydantic can check, which
                ``response.parsed`` then is a value of; or the OpenAI Chat dict (``json_object``,
                ``json_schema``).
            reasoning_effort: How much the model should think, in the provider's words.
            logprobs: True to be told in ``response.logprobs`` how likely the model found each token of its
                answer, a number to be told as many of the likeliest tokens at each place, too.
            cache: ``auto`` to use the provider's prompt cache, ``1h`` to have it kept for at least an hour,
                which costs more to write, ``off`` not to use it.
            timeout: Seconds to the first byte and of silence between events, for each attempt; None for the
                entry's.
            total_timeout: Seconds for the whole call, retries and fallbacks included; None for the entry's.
            max_retries: Retries on each model; None for the entry's.
            fallback: Whether the entry's ``fallback_models`` may answer.
            reask: How often an answer that does not fit the type of ``response_format`` is sent back with
                what is wrong, to be corrected: 0 to 1000. Each is an attempt of its own, and paid for.
            tags: Marks of your own for the ledger.
            extra_headers: HTTP headers of this call.
            **provider_options: Fields of the provider's own JSON body, merged in last; they may not replace
                model, messages or stream.

        Returns:
            The complete answer.

        Raises:
            InvalidMessagesError: The messages cannot be sent; nothing was.
            ProviderSwitchError: The history belongs to another provider; nothing was sent.
            ProviderError: The provider refused, failed or could not be reached; its subclass says how.
            OutputParseError: The answer does not fit ``response_format``, nor do those that ``reask`` allows.
            BudgetExceededError: A budget is spent; nothing more was sent.
            ConfigurationError: A key, an SDK or a file is missing, or, with ``strict_pricing``, a price.
        """
        return self._call(messages, arguments, streamed=False).send()

    if TYPE_CHECKING:

        @overload
        @signatures.awhole(signatures.typed_call)
        def asend_request(self) -> Any: ...

        @overload
        @takes_parameters_of(call_parameters)
        def asend_request(self) -> Coroutine[Any, Any, LLMResponse]: ...

    @takes_parameters_of(call_parameters)
    async def asend_request(self, messages: Messages, **arguments: Any) -> LLMResponse:
        """Ask for a whole answer, async; arguments, result and errors are those of ``send_request``."""
        return await self._call(messages, arguments, streamed=False).asend()

    if TYPE_CHECKING:

        @overload
        @signatures.streamed(signatures.typed_call)
        def send_streaming_request(self) -> Any: ...

        @overload
        @takes_parameters_of(call_parameters)
        def send_streaming_request(self) -> streaming.LLMStream: ...

    @takes_parameters_of(call_parameters)
    def send_streaming_request(self, messages: Messages, **arguments: Any) -> streaming.LLMStream:
        """Ask for a streamed answer; arguments are those of ``send_request``, and checked at once.

        The request is sent at the first iteration, ``with``, ``events()`` or ``final_response()``, where a
        refusal to start shows.

        Returns:
            The stream; iterate over it to get pieces of text.

        Raises:
            InvalidMessagesError: The messages cannot be sent.
            ProviderSwitchError: The history belongs to another provider.
            InvalidRequestError: An argument is wrong.
            ConfigurationError: A key is missing.
        """
        return streaming.LLMStream(self._call(messages, arguments, streamed=True))

    if TYPE_CHECKING:

        @overload
        @signatures.astreamed(signatures.typed_call)
        def asend_streaming_request(self) -> Any: ...

        @overload
        @takes_parameters_of(call_parameters)
        def asend_streaming_request(self) -> streaming.AsyncLLMStream: ...

    @takes_parameters_of(call_parameters)
    def asend_streaming_request(self, messages: Messages, **arguments: Any) -> streaming.AsyncLLMStream:
        """Ask for a streamed answer, async; returned without ``await``. See ``send_streaming_request``."""
        return streaming.AsyncLLMStream(self._call(messages, arguments, streamed=True))

    @takes_parameters_of(call_parameters)
    def count_tokens(self, messages: Messages, **arguments: Any) -> int:
        """Ask the provider how many tokens a request has, without an answer: free, and not in the ledger.

        Tools, ``response_format`` and what else goes to the model are counted too. Only the model that is
        named is asked, for others count differently.

        Args:
            messages: What ``send_request`` would be given.
            **arguments: The other arguments of ``send_request``.

        Returns:
            The tokens of the input, as the provider counts them.

        Raises:
            InvalidMessagesError: The messages cannot be sent; nothing was.
            ProviderSwitchError: The history belongs to another provider; nothing was sent.
            InvalidRequestError: The provider's host cannot count tokens, or an argument is wrong.
            ProviderError: The provider refused, failed or could not be reached; its subclass says how.
            ConfigurationError: A key or an SDK is missing.
        """
        return self._call(messages, arguments, streamed=False, counting=True).count()

    @takes_parameters_of(call_parameters)
    async def acount_tokens(self, messages: Messages, **arguments: Any) -> int:
        """Ask the provider how many tokens a request has, async. See ``count_tokens``."""
        return await self._call(messages, arguments, streamed=False, counting=True).acount()

    if TYPE_CHECKING:

        @overload
        @signatures.of_rows(signatures.typed_rows)
        def map(self) -> Any: ...

        @overload
        @signatures.of_rows(signatures.rows_of_any)
        def map(self) -> Any: ...

    def map(
        self,
        rows: Any,
        *,
        messages: Union[str, Callable[[Any], Any], None] = None,
        key: Union[str, Callable[[Any], Any], None] = None,
        journal: Union[str, os.PathLike[str], None] = None,
        concurrency: int = 64,
        mode: str = "now",
        wait: bool = True,
        on_error: str = "keep",
        order: str = "completion",
        max_cost: Union[float, Decimal, None] = None,
        progress: Union[bool, Callable[[bulk.BulkProgress], None], None] = None,
        embed: bool = False,
        **arguments: Any,
    ) -> bulk.BulkRun:
        """Ask for an answer to each of many rows, or for its vector; see the how-to "Many calls".

        Nothing is sent before the first iteration, which drives an event loop of its own; where a loop runs
        already, as in a notebook, that is in a thread which ends with the run.

        Args:
            rows: Any iterable, read lazily; or the path of a file: ``.jsonl``, ``.csv``, or, with the extra
                ``arrow``, ``.parquet``.
            messages: A template such as ``"Classify: {text}"`` with names of fields, or a function that makes
                the messages of a row; None: the rows are messages. With ``embed``, the text of a row.
            key: The name of a field, or a function of a row, whose value is each row's own; None: the row's
                position.
            journal: A file in which the answers are kept, and from which they are taken when it holds them
                already; their texts stand in it, and one run at a time may use it. Or the URL of a database
                (extra ``database``), by which runs on many machines share the rows. None keeps nothing.
            concurrency: Most requests under way at once.
            mode: ``now``; ``batch``, the provider's batch API at half the price; or OpenAI's windows
                ``background:2h`` and ``background:8h``. See the how-to "Half price by batches".
            wait: With ``batch``, False returns when everything is submitted; the same call later goes on.
            on_error: ``keep`` a row's error with its row, or ``raise`` the first and end the run.
            order: ``completion``, or ``input``, for which finished rows are held back within a bound.
            max_cost: US dollars; the run ends before they would be passed.
            progress: True for a bar on standard error (extra ``cli``), or a function that is told a
                ``BulkProgress`` after each row.
            embed: True turns each row into the ``vector`` of its result instead. As many rows go in one
                request as the provider takes, or ``batch_size`` says.
            **arguments: Arguments of ``send_request``, for all rows; with ``embed``, those of ``embed``.

        Returns:
            The run; iterate over it to get a ``BulkResult`` for each row.

        Raises:
            InvalidRequestError: An argument is wrong.
            ConfigurationError: A file cannot be read, the provider lacks its key, or an extra is missing. The
                iteration raises what holds for all rows: a wrong key, an empty account, a spent budget.
        """
        job = bulk_jobs.bulk_job(
            rows,
            messages=messages,
            key=key,
            journal=journal,
            concurrency=concurrency,
            mode=mode,
            wait=wait,
            on_error=on_error,
            order=order,
            max_cost=max_cost,
            progress=progress,
            embed=embed,
            **hide_headers(arguments),
        )
        return bulk.BulkRun(job, self._caller_of(job))

    if TYPE_CHECKING:

        @overload
        @signatures.aof_rows(signatures.typed_rows)
        def amap(self) -> Any: ...

        @overload
        @signatures.aof_rows(signatures.rows_of_any)
        def amap(self) -> Any: ...

    @shares_parameters_with(map)
    def amap(self, rows: Any, **arguments: Any) -> bulk.AsyncBulkRun:
        """Ask for an answer to each of many rows, async; arguments and errors are those of ``map``.

        Args:
            rows: An iterable, read lazily, or the path of a file.
            **arguments: Those of ``map``. With ``wait=False`` the first ``await`` submits.

        Returns:
            The run, without ``await``; iterate over it with ``async for``.
        """
        job = bulk_jobs.bulk_job(rows, **hide_headers(arguments))
        return bulk.AsyncBulkRun(job, self._caller_of(job))

    def _caller_of(self, job: bulk_jobs.BulkJob) -> Union[row_calls.RowCaller, vector_calls.VectorCaller]:
        if not job.makes_vectors:
            return self._row_caller(job.arguments, job.window)
        name = self.active_provider
        return vector_calls.VectorCaller(
            self.call_factory,
            self._shared,
            provider=self._providers[name],
            entry=self._providers.entry(name),
            arguments=job.arguments,
        )

    def _row_caller(self, arguments: Mapping[str, Any], window: Optional[str] = None) -> row_calls.RowCaller:
        name = self.active_provider
        return row_calls.RowCaller(
            self.call_factory,
            self._shared,
            provider=self._providers[name],
            entry=self._providers.entry(name),
            model=self.active_model,
            arguments=arguments,
            window=window,
        )

    @takes_parameters_of(embedding_parameters)  # its parameters, too, are documented here
    def embed(self, texts: Union[str, Sequence[str]], **arguments: Any) -> EmbeddingResponse:  # noqa: D417
        """Turn texts into vectors. They go to the provider in batches, each with its row in the ledger.

        A batch that fails is retried as an answer is; no other model is asked, for vectors of two models do
        not compare.

        Args:
            texts: A text, or a list of texts, none of them empty.
            model: An embedding model of the active provider; None for the entry's ``embedding_model``.
            dimensions: How many numbers each vector is to have, where the model can shorten them; None for
                its own length.
            batch_size: Most texts in one request, from 1; None for the provider's limit.
            timeout: Seconds to the first byte, for each request; None for the entry's.
            total_timeout: Seconds for the whole call, all batches included; None for the entry's.
            max_retries: Retries of each batch; None for the entry's.
            tags: Marks of your own for the ledger.
            extra_headers: HTTP headers of this call.
            **provider_options: Fields of the provider's own JSON body, such as Gemini's ``taskType``.

        Returns:
            The vectors, in the order of the texts.

        Raises:
            InvalidRequestError: An argument is wrong, or the provider has no embedding models.
            ProviderError: The provider refused, failed or could not be reached; its subclass says how.
            BudgetExceededError: A budget is spent; nothing more was sent.
            ConfigurationError: No model is named, a key, an SDK or a file is missing, or, with
                ``strict_pricing``, a price.
        """
        return self._embedding(embedding_arguments(texts, **hide_headers(arguments))).embed()

    @takes_parameters_of(embedding_parameters)
    async def aembed(self, texts: Union[str, Sequence[str]], **arguments: Any) -> EmbeddingResponse:
        """Turn texts into vectors, async; arguments, result and errors are those of ``embed``."""
        return await self._embedding(embedding_arguments(texts, **hide_headers(arguments))).aembed()

    def start_conversation(self, system: Optional[str] = None, **defaults: Any) -> conversation.Conversation:
        """Start a conversation with the active provider, which it keeps for life.

        Args:
            system: The system message; None for none.
            **defaults: Arguments of ``send_request`` that hold for every turn.

        Returns:
            The conversation, in which nothing was said yet.

        Raises:
            InvalidRequestError: An argument is wrong.
            ConfigurationError: The provider lacks its key.
        """
        return conversation.Conversation(self, system, **hide_headers(defaults))

    def warm_up(self) -> threading.Thread:
        """Get ready for the first call, on a thread: import the provider's SDK and open a connection.

        Call it while the application starts; in a server that forks, in each child, for connections cannot be
        inherited. It costs no tokens. What goes wrong is logged as a warning, and shown by the first call.

        Returns:
            The thread, which does not keep the program alive; ``join`` it to wait.
        """
        return self._warm_up().begin()

    async def awarm_up(self) -> None:
        """Get ready for the first async call on the running loop, and wait for it; see ``warm_up``."""
        await self._warm_up().arun()

    @property
    def openai(self) -> openai_shape.OpenAIClient:
        """A client in the shape of the OpenAI SDK's, for programs that are written for that one.

        ``chat.completions`` and ``responses``, each with ``create`` and ``parse``, and ``embeddings.create``
        ask the active provider, whichever it is, with its retries, its fallback and the ledger. See the
        how-to "The OpenAI client".
        """
        return openai_shape.OpenAIClient(self)

    @property
    def aopenai(self) -> openai_shape.AsyncOpenAIClient:
        """The same as ``openai`` in the shape of the SDK's async client: its methods are awaited."""
        return openai_shape.AsyncOpenAIClient(self)

    # ---------------------------------------------------------------- models and costs

    @property
    def cost_tracker(self) -> CostTracker:
        """What was used and spent, streams included that were dropped unread since the last call."""
        self._shared.flush()
        return self._shared.tracker

    def get_available_models(
        self, provider: Optional[str] = None, include_deprecated: bool = False, kind: str = "chat"
    ) -> List[str]:
        """List the models of one kind that are known since the last refresh; empty before the first.

        Args:
            provider: Name of a provider entry; None for the active one.
            include_deprecated: Whether to list models that are deprecated or gone, too.
            kind: ``chat`` for models that answer, ``embedding`` for those that ``embed`` can ask.

        Returns:
            Names of models, as they are sent.

        Raises:
            InvalidRequestError: There is no such kind.
        """
        name = provider or self.active_provider
        models = self.registry.get_available_models(name, include_deprecated, kind)
        return [model.name for model in models]

    def refresh_models(self, provider: Optional[str] = None) -> None:
        """Ask providers for their models and keep what they say.

        Args:
            provider: Name of a provider entry; None for every one that can be used.

        Raises:
            ProviderError: A provider refused, failed or could not be reached; its old list stays.
            ConfigurationError: There is no such provider, it lacks its key, or it cannot list its models.
        """
        self._shared.check_open()
        self.call_factory.forget_models()  # the new listings may know better
        self.registry.refresh_models(provider)

    async def arefresh_models(self, provider: Optional[str] = None) -> None:
        """Ask providers for their models and keep what they say, async; see ``refresh_models``.

        Args:
            provider: Name of a provider entry; None for every one that can be used.
        """
        self._shared.check_open()
        self.call_factory.forget_models()  # the new listings may know better
        await self.registry.arefresh_models(provider)

    def validate_model(self, model: str, provider: Optional[str] = None) -> bool:
        """Ask a provider whether it offers a model.

        Args:
            model: The model's name.
            provider: Name of a provider entry; None for the active one.

        Returns:
            Whether it does.

        Raises:
            ProviderError: The provider refused, failed or could not be reached.
            ConfigurationError: There is no such provider, it lacks its key, or nobody can be asked there.
        """
        self._shared.check_open()
        return self.registry.validate_model(provider or self.active_provider, model)

    async def avalidate_model(self, model: str, provider: Optional[str] = None) -> bool:
        """Ask a provider whether it offers a model, async; see ``validate_model``.

        Args:
            model: The model's name.
            provider: Name of a provider entry; None for the active one.

        Returns:
            Whether it does.
        """
        self._shared.check_open()
        return await self.registry.avalidate_model(provider or self.active_provider, model)

    def get_session_cost(self) -> Decimal:
        """Sum up what this session has cost so far.

        Returns:
            US dollars; calls whose price is unknown or estimated are not in it, which a warning says once.
        """
        cost = self.cost_tracker.get_session_cost(self.session_id)
        self.cost_tracker.warn_of_left_out(self.session_id)
        return cost

    def budget_status(self, tags: Optional[Mapping[str, str]] = None) -> List[limits.BudgetStatus]:
        """Tell what is left of each budget: of this session, this day and this month.

        Args:
            tags: The tags of a call, for the budgets that apply to it; None: of tags, every value that
                occurred in the period.

        Returns:
            One ``BudgetStatus`` for each budget: which one, ``limit``, ``spent``, ``held``, ``left`` in US
            dollars, and ``until`` when. ``spent`` and ``left`` are None, and a warning is logged, when the
            ledger's database cannot be asked.
        """
        return self.cost_tracker.budget_status(self.session_id, tags)

    # ---------------------------------------------------------------- siblings and the end

    def for_provider(self, name: str, model: Optional[str] = None) -> LLMOrchestrator:
        """Make a sibling bound to another provider; clients, registry, ledger and session are shared.

        Args:
            name: Name of a provider entry.
            model: Its model; None to name one in each call, or the active one for the active provider.

        Returns:
            The sibling; closing it closes nothing shared.

        Raises:
            ConfigurationError: There is no such provider, or it lacks its key.
        """
        self._shared.check_open()
        self._providers.entry(name)
        sibling = copy.copy(self)
        sibling._call_factory = self.call_factory  # one for the family: it remembers whose models are whose
        sibling.active_provider = name
        sibling.active_model = model or (self.active_model if name == self.active_provider else None)
        sibling.is_sibling = True
        return sibling

    def close(self) -> None:
        """Close connections and ledger; a sibling closes nothing. Twice is fine, use afterwards is not."""
        if self._begin_to_close():
            self._providers.close()
            self.cost_tracker.close()

    async def aclose(self) -> None:
        """Close the connections of the running loop too; otherwise as ``close``."""
        if self._begin_to_close():
            await self._providers.aclose()
            await self.cost_tracker.aclose()

    def _begin_to_close(self) -> bool:
        """Whether there is something to close."""
        if self.is_sibling or self._shared.is_closed:
            return False
        self._shared.flush()
        self._shared.is_closed = True
        return True

    def __enter__(self) -> LLMOrchestrator:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> LLMOrchestrator:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    # ---------------------------------------------------------------- parts

    @property
    def call_factory(self) -> factory.CallFactory:
        """Makes its calls and those of its conversations, with the first one; not for applications."""
        if self._call_factory is None:
            entries = self.config.providers
            self._call_factory = factory.CallFactory(entries, self._providers, self.registry, self._shared)
        return self._call_factory

    def _call(
        self, messages: Messages, arguments: Dict[str, Any], *, streamed: bool, counting: bool = False
    ) -> call.Call:
        arguments.setdefault("model", self.active_model)  # or the request would be made again to name it
        read = call_arguments(messages, **hide_headers(arguments))
        if counting:  # other models count differently
            read = read._replace(fallback=False)
        return self.call_factory.make(
            read, self.active_provider, self.active_model, streamed=streamed, counting=counting
        )

    def _embedding(self, arguments: CallArguments) -> call.Call:
        name = self.active_provider
        model = arguments.request.model or self.call_factory.embedding_model(name)
        return self.call_factory.make(arguments, name, model, streamed=False)

    def _warm_up(self) -> warming.WarmUp:
        self._shared.check_open()
        return warming.WarmUp(self._providers, self.active_provider, self.active_model, self._shared)


def _checked(hooks: Sequence[hook_types.Hook]) -> Tuple[hook_types.Hook, ...]:
    from llm_orchestrator.hooks import checked_hooks  # few programs have any

    return checked_hooks(hooks)
