"""Checks as data: what may stand in dags/checks/TABLE.yaml, read and held against the contract and the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from string import Template
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from clicklake import events
from clicklake.errors import LakeError
from clicklake.settings import ROOT, Settings
from clicklake.tables import REPLAYED, STREAM_TABLES, Table

FOLDER = ROOT / "dags" / "checks"
TABLES: Mapping[str, Table] = {table.name: table for table in STREAM_TABLES}
CLICKSTREAM_NOW = "clickstream_now"
"""Names clickstream as it is, for checks that hold no figures against it."""
PLACEHOLDERS = {
    *TABLES,
    REPLAYED.name,
    CLICKSTREAM_NOW,
    "begin",
    "end",
    "settled_minutes",
    "settled_sessions",
    "session_gap",
}
"""What `$name` in SQL may be: a table, a bound of the rows looked at, or until when figures are final."""


class ChecksError(LakeError):
    """A file of checks that cannot be used."""


class Scope(StrEnum):
    """Which rows a check looks at."""

    WINDOW = "window"
    """The newest."""
    CLOSED = "closed"
    """Those of an hour or of days that are over."""


class Severity(StrEnum):
    """Whether a check that does not hold fails the run."""

    ERROR = "error"
    WARN = "warn"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Check(_Part):
    """What every check has. Its figure must lie within the bounds; a bound may be a setting's name."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    meaning: str
    """What is wrong when it does not hold."""
    severity: Severity = Severity.ERROR
    scope: tuple[Scope, ...] = (Scope.WINDOW,)
    over: Literal["hour", "day"] = "day"
    """What scope closed looks at: the newest hour that is over, or the newest days."""
    at_least: float | str | None = None
    at_most: float | str | None = None

    @field_validator("scope", mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given

    @field_validator("at_least", "at_most")
    @classmethod
    def _known_setting(cls, bound: float | str | None) -> float | str | None:
        if isinstance(bound, str) and bound not in Settings.__dataclass_fields__:
            raise ValueError(f"{bound!r} is neither a number nor a setting")
        return bound

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("it needs at_least or at_most")
        return self

    @property
    def columns_used(self) -> tuple[str, ...]:
        """Columns of its table that it names."""
        return ()


class RowCheck(Check):
    """A rule for each row; the figure is how many rows break it, or their share."""

    of: Literal["rows", "share"] = "rows"
    at_most: float | str | None = 0


class Filled(RowCheck):
    """These columns hold something: no null, no blank text."""

    kind: Literal["filled"]
    columns: tuple[str, ...]

    @property
    def columns_used(self) -> tuple[str, ...]:
        """The columns that must be filled."""
        return self.columns


class _OfContract(RowCheck):
    column: str

    @property
    def columns_used(self) -> tuple[str, ...]:
        """The column that is held against the contract."""
        return (self.column,)


class Allowed(_OfContract):
    """The column holds one of the values that the contract lists under this name."""

    kind: Literal["allowed"]
    values: str

    @property
    def allowed(self) -> tuple[str, ...]:
        """The values."""
        return tuple(str(value) for value in getattr(events, self.values))

    @field_validator("values")
    @classmethod
    def _listed(cls, name: str) -> str:
        found = _contract(name)
        if isinstance(found, tuple) or (isinstance(found, type) and issubclass(found, StrEnum)):
            return name
        raise ValueError(f"clicklake.events.{name} is no list of values")


class Within(_OfContract):
    """The column lies within the range that the contract gives under this name, ends included."""

    kind: Literal["within"]
    range: str

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest value."""
        low, high = getattr(events, self.range)
        return low, high

    @field_validator("range")
    @classmethod
    def _pair(cls, name: str) -> str:
        found = _contract(name)
        if isinstance(found, tuple) and len(found) == 2 and all(isinstance(end, int | float) for end in found):
            return name
        raise ValueError(f"clicklake.events.{name} is no range")


class Matches(_OfContract):
    """The column matches the regular expression that the contract has under this name."""

    kind: Literal["matches"]
    pattern: str

    @property
    def expression(self) -> str:
        """The regular expression."""
        return str(getattr(events, self.pattern))

    @field_validator("pattern")
    @classmethod
    def _text(cls, name: str) -> str:
        if isinstance(_contract(name), str):
            return name
        raise ValueError(f"clicklake.events.{name} is no regular expression")


class Unique(RowCheck):
    """No two rows have the same values in these columns, texts compared without regard to case."""

    kind: Literal["unique"]
    columns: tuple[str, ...]
    where: str = "true"

    @property
    def columns_used(self) -> tuple[str, ...]:
        """The columns that tell rows apart."""
        return self.columns


class Rows(RowCheck):
    """No row for which this condition in SQL holds."""

    kind: Literal["rows"]
    where: str


class Figure(Check):
    """An aggregate in SQL over the table's rows."""

    kind: Literal["figure"]
    sql: str


class Query(Check):
    """A statement in SQL that gives one figure, and if it likes how many things that is of.

    A figure that is null cannot be told: there is nothing to tell it from.
    """

    kind: Literal["query"]
    sql: str

    @field_validator("sql")
    @classmethod
    def _placeholders(cls, sql: str) -> str:
        unknown = set(Template(sql).get_identifiers()) - PLACEHOLDERS
        if unknown or not Template(sql).is_valid():
            raise ValueError(f"${', $'.join(sorted(unknown))} stands for nothing; known: {sorted(PLACEHOLDERS)}")
        return sql


class Volume(Check):
    """Rows of the window for each row of the same minutes so many hours before."""

    kind: Literal["volume"]
    before_hours: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _of_the_window(self) -> Self:
        if self.scope != (Scope.WINDOW,):
            raise ValueError("volume is of the window")
        return self


class Offsets(Check):
    """The audit: offsets of the topic that are in no table, and rows beyond the first of an offset."""

    kind: Literal["offsets"]
    at_most: float | str | None = 0


class Freshness(Check):
    """Seconds from event to visible, p95 of the newest commits."""

    kind: Literal["freshness"]


AnyCheck = Annotated[
    Filled | Allowed | Within | Matches | Unique | Rows | Figure | Query | Volume | Offsets | Freshness,
    Field(discriminator="kind"),
]


class Times(_Part):
    """By scope, the column that says when."""

    window: str
    closed: str


class TableChecks(_Part):
    """All checks of one table."""

    table: str
    time: Times
    checks: Annotated[tuple[AnyCheck, ...], Field(min_length=1)]

    @field_validator("table")
    @classmethod
    def _known_table(cls, name: str) -> str:
        if name not in TABLES:
            raise ValueError(f"there is no table {name!r}; there are {', '.join(TABLES)}")
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = TABLES[self.table].column_names
        for owner, columns in self._columns():
            if unknown := [column for column in columns if column not in known]:
                raise ValueError(f"{owner} names {', '.join(unknown)}, no column of {self.table}")
        names = [check.name for check in self.checks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"more than one check is called {', '.join(twice)}")
        return self

    def _columns(self) -> Iterable[tuple[str, tuple[str, ...]]]:
        yield "time", (self.time.window, self.time.closed)
        for check in self.checks:
            yield check.name, check.columns_used


def load(folder: Path = FOLDER) -> dict[str, TableChecks]:
    """By table name, the checks of every file of the folder; ChecksError says file, place and what is wrong."""
    found = {path.stem: read(path) for path in sorted(folder.glob("*.yaml"))}
    if not found:
        raise ChecksError(f"there is no file of checks in {folder}")
    return found


def read(path: Path) -> TableChecks:
    """The checks of one file, which bears the table's name."""
    try:
        checks = TableChecks.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ChecksError(f"{path} is no YAML: {error}") from None
    except ValidationError as error:
        raise ChecksError(f"{path}: {'; '.join(_sentences(error))}") from None
    if checks.table != path.stem:
        raise ChecksError(f"{path} is about {checks.table}; call it {checks.table}.yaml")
    return checks


def _sentences(error: ValidationError) -> Iterable[str]:
    for one in error.errors(include_url=False):
        place = ".".join(str(part) for part in one["loc"])
        yield f"{place}: {one['msg']}" if place else one["msg"]


def _contract(name: str) -> Any:
    if not name.isidentifier() or name.startswith("_") or not hasattr(events, name):
        raise ValueError(f"clicklake.events has no {name}")
    return getattr(events, name)
