"""The pydantic models of the section ``cost_tracking``: the ledger, your own prices and the budgets."""

# Annotations are values here, not texts: pydantic would evaluate each, which every start would wait for.

from collections import abc
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Dict, List, Literal, Mapping, Optional

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from llm_orchestrator.config.frozen import FrozenDict, FrozenList
from llm_orchestrator.config.values import (
    ConfigModel,
    Dollars,
    Frozen,
    Items,
    Number,
    Positive,
    Rate,
    Section,
    Text,
    default_section,
    replaced,
)
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.suggestions import did_you_mean

__all__ = ["RATE_NAMES", "BudgetConfig", "CostTrackingConfig", "PriceOverride", "TagBudgetConfig"]

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
