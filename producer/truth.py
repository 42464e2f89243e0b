"""The ground truth: what Kafka has acknowledged, counted by what it was meant to be."""

from __future__ import annotations

from collections import Counter
from typing import IO, Any, Self

import orjson
from rich.console import Console
from rich.table import Table

from clicklake.events import EVENT_TYPES, Reason
from producer.record import Kind, Record, amount_json


class Truth:
    """Counts of acknowledged records; with a file, also one JSON line for each of them."""

    def __init__(self, lines: IO[bytes] | None = None) -> None:
        self.kinds: Counter[Kind] = Counter()
        self.reasons: Counter[Reason] = Counter()
        self.event_types: Counter[str] = Counter()
        self.revenue_cents = 0
        self.undelivered = 0
        self.skipped_lines = 0
        self.seed: int | None = None
        self._lines = lines

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lines:
            self._lines.close()

    @property
    def produced(self) -> int:
        """Records that Kafka has acknowledged."""
        return self.kinds.total()

    @property
    def valid(self) -> int:
        """Those the stream must accept, late ones too."""
        return self.kinds[Kind.VALID] + self.kinds[Kind.LATE]

    def acknowledged(self, record: Record, partition: int, offset: int) -> None:
        """Count a record that stands in Kafka there."""
        self.kinds[record.kind] += 1
        if record.reason is None:
            if record.event_type:
                self.event_types[record.event_type] += 1
            self.revenue_cents += record.amount_cents
        elif record.kind is Kind.BAD:
            self.reasons[record.reason] += 1
        if self._lines:
            self._lines.write(_line(record, partition, offset))

    def as_dict(self) -> dict[str, Any]:
        """All counts. `valid` includes `late`; event types and revenue are those of the valid."""
        if self.seed is None:
            return {
                "produced": self.produced,
                "undelivered": self.undelivered,
                "skipped_lines": self.skipped_lines,
            }
        return {
            "produced": self.produced,
            "valid": self.valid,
            "late": self.kinds[Kind.LATE],
            "duplicates": self.kinds[Kind.DUPLICATE],
            "bad": {reason.value: self.reasons[reason] for reason in Reason if self.reasons[reason]},
            "event_types": {name: self.event_types[name] for name in EVENT_TYPES},
            "revenue": amount_json(self.revenue_cents),
            "undelivered": self.undelivered,
            "seed": self.seed,
        }

    def show(self, console: Console, as_json: bool) -> None:
        """Print the counts: a table on a terminal, else a line each, or one JSON object."""
        if as_json:
            console.out(orjson.dumps(self.as_dict()).decode(), highlight=False)
        elif console.is_terminal:
            console.print(self._table())
        else:
            for name, count in self._rows():
                console.out(f"{name}: {count}", highlight=False)

    def _rows(self) -> list[tuple[str, str]]:
        rows: list[tuple[str, str]] = []
        for name, content in self.as_dict().items():
            if isinstance(content, dict):
                label = {"bad": "bad, {}", "event_types": "valid, {}"}[name]
                rows += [(label.format(key), f"{count:,}") for key, count in content.items()]
            else:
                rows.append((name.replace("_", " "), f"{content:,}" if isinstance(content, int) else str(content)))
        return [(name, count.replace(",", "") if name == "seed" else count) for name, count in rows]

    def _table(self) -> Table:
        table = Table(title="What was sent", title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        for name, count in self._rows():
            table.add_row(name, count)
        return table


def _line(record: Record, partition: int, offset: int) -> bytes:
    return orjson.dumps(
        {
            "event_id": record.event_id,
            "kind": record.kind,
            "reason": record.reason,
            "event_type": record.event_type,
            "partition": partition,
            "offset": offset,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
