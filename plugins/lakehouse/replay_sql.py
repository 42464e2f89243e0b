"""The SQL of a replay, for Trino: which records are chosen, what a correction makes of them, and the moves.

The contract's rules stand here a second time, in Trino's dialect; patterns, ranges and names are those of
`clicklake.events`, and the tests hold the answers against the oracle's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from clicklake import events
from clicklake.settings import Settings
from clicklake.tables import CLICKSTREAM, PER_MINUTE, REJECTED, REPLAYED
from clicklake.trino_client import identifier, literal

MARKER = "/* clicklake replay */"
"""What each statement that writes begins with, so that one that outlived its task can be found."""
FIELDS = ("event_id", "user_id", "event_type", "url", "session_id", "device", "moment")
NUMBERS = ("latitude", "longitude", "purchase_amount")
"""With FIELDS, what a correction gives of each record, as text."""
DAYS_AT_ONCE = 50
"""Days of events that one move takes: each is a partition, and a writer of Trino's has no more than a hundred open."""


@dataclass(frozen=True)
class Choice:
    """Which rejected records are meant, and how old an event may be."""

    reason: str
    until: datetime
    since: datetime | None = None
    partition: int | None = None
    first_offset: int | None = None
    last_offset: int | None = None
    event_age_days: int = 366


@dataclass(frozen=True)
class Span:
    """When Kafka received the first and the last of some records: what spares Trino the files of all others.

    It also keeps a delete from meeting the stream's own commits, which bring only rows received later.
    """

    first: datetime
    last: datetime
    oldest: datetime
    newest: datetime
    """When the events of these records happened, from and to."""

    def holds(self, column: str) -> str:
        """The condition that a row was received within."""
        return f"{column} BETWEEN {literal(self.first)} AND {literal(self.last)}"

    @property
    def happened(self) -> str:
        """The condition that an event is one of these days'."""
        return f"event_time BETWEEN {literal(self.oldest)} AND {literal(self.newest)}"


def outcomes(settings: Settings, choice: Choice, rule: str) -> str:
    """WITH clauses that end with `outcomes`: the chosen records, corrected, and why they stay rejected or null."""
    names = (*FIELDS, *NUMBERS)
    return f"""
        WITH chosen AS ({_chosen(settings, choice)}),
        fields AS ({_fields()}),
        corrected AS ({rule}),
        parsed AS (
            SELECT chosen.payload, chosen.reason, chosen.ingested_at, kafka_partition, kafka_offset,
                   {", ".join(FIELDS[:-1])}, {_event_time()} AS event_time,
                   TRY_CAST(latitude AS double) AS latitude, TRY_CAST(longitude AS double) AS longitude,
                   purchase_amount IS NULL AS unpaid,
                   TRY_CAST(purchase_amount AS decimal(38, 18)) AS purchase_amount
            FROM chosen
            LEFT JOIN (SELECT kafka_partition, kafka_offset, {", ".join(names)} FROM corrected)
            USING (kafka_partition, kafka_offset)
        ),
        judged AS (SELECT *, {_rules(choice, settings)} AS wrong FROM parsed),
        known AS (
            SELECT DISTINCT lower(event_id) AS known_id FROM {identifier(settings, CLICKSTREAM.name)}
            WHERE lower(event_id) IN (SELECT lower(event_id) FROM judged WHERE wrong IS NULL)
        ),
        outcomes AS (
            SELECT *,
                count(*) OVER (PARTITION BY kafka_partition, kafka_offset) AS times,
                CASE
                    WHEN wrong IS NOT NULL THEN wrong
                    WHEN known_id IS NOT NULL OR row_number() OVER (
                        PARTITION BY wrong IS NULL, lower(event_id) ORDER BY kafka_partition, kafka_offset
                    ) > 1 THEN {literal(events.Reason.DUPLICATE)}
                END AS outcome
            FROM judged LEFT JOIN known ON known_id = lower(event_id)
        )
        """


def counts(settings: Settings, choice: Choice, rule: str) -> str:
    """For each outcome, how many records; and how many of them the rule gave more than once."""
    found = "SELECT outcome, count(*), count(*) FILTER (WHERE times > 1) FROM outcomes GROUP BY 1"
    return outcomes(settings, choice, rule) + found


def decide(settings: Settings, choice: Choice, rule: str, name: str, run_id: str, now: datetime) -> str:
    """Write down which records become events and as what; all that follows is derived from these rows."""
    amount = "decimal({}, {})".format(*events.PURCHASE_AMOUNT_DIGITS)
    return f"""{MARKER}
        INSERT INTO {identifier(settings, REPLAYED.name)} ({", ".join(REPLAYED.column_names)})
        {outcomes(settings, choice, rule)}
        SELECT event_id, user_id, event_type, url, session_id, device, event_time, latitude, longitude,
               CAST(purchase_amount AS {amount}), kafka_partition, kafka_offset, ingested_at,
               payload, reason, {literal(name)}, {literal(run_id)}, {literal(now)}
        FROM outcomes WHERE outcome IS NULL AND times = 1
        """


def pending(settings: Settings, after: datetime | None = None) -> str:
    """How many records are decided upon and still among the rejected, and their Span, of the oldest days after this."""
    later = f" AND event_time > {literal(after)}" if after else ""
    return f"""
        SELECT count(*), min(ingested_at), max(ingested_at), min(event_time), max(event_time) FROM (
            SELECT ingested_at, event_time, dense_rank() OVER (ORDER BY CAST(event_time AS date)) AS day
            FROM {identifier(settings, REPLAYED.name)} replayed
            WHERE {_is_in(settings, REJECTED.name, "replayed")}{later}
        ) WHERE day <= {DAYS_AT_ONCE}
        """


def count_minutes(settings: Settings, span: Span) -> str:
    """Add to the minutes of the pending records what replays owe them.

    Rows with no users are those of replays, so what they say already is known and a second time adds nothing.
    """
    per_minute, replayed = (identifier(settings, table.name) for table in (PER_MINUTE, REPLAYED))
    minute = "date_trunc('minute', event_time)"
    return f"""{MARKER}
        INSERT INTO {per_minute} ({", ".join(PER_MINUTE.column_names)})
        WITH keys AS (
            SELECT DISTINCT {minute} AS minute, event_type, device FROM ({_pending_rows(settings, span)})
        ),
        owed AS (
            SELECT {minute} AS minute, event_type, device, count(*) AS events,
                   coalesce(sum(purchase_amount), 0) AS revenue
            FROM {replayed} GROUP BY 1, 2, 3
        ),
        told AS (
            SELECT minute, event_type, device, sum(events) AS events, sum(revenue) AS revenue
            FROM {per_minute} WHERE late AND users = 0 GROUP BY 1, 2, 3
        )
        SELECT minute, event_type, device, owed.events - coalesce(told.events, 0), 0,
               owed.revenue - coalesce(told.revenue, 0), true
        FROM keys JOIN owed USING (minute, event_type, device) LEFT JOIN told USING (minute, event_type, device)
        WHERE owed.events > coalesce(told.events, 0)
        """


def insert(settings: Settings, span: Span) -> str:
    """Put the pending records into clickstream, save those that are there."""
    columns = ", ".join(CLICKSTREAM.column_names)
    return f"""{MARKER}
        INSERT INTO {identifier(settings, CLICKSTREAM.name)} ({columns})
        SELECT {columns} FROM ({_pending_rows(settings, span)}) pending
        WHERE NOT {_is_in(settings, CLICKSTREAM.name, "pending", span)}
        """


def delete(settings: Settings, span: Span) -> str:
    """Take out of the rejected the records that are decided upon and in clickstream."""
    return f"""{MARKER}
        DELETE FROM {identifier(settings, REJECTED.name)}
        WHERE {span.holds("ingested_at")} AND (kafka_partition, kafka_offset) IN (
            SELECT kafka_partition, kafka_offset FROM {identifier(settings, REPLAYED.name)} replayed
            WHERE {span.holds("ingested_at")} AND {_is_in(settings, CLICKSTREAM.name, "replayed", span)}
        )
        """


def replayed_by(settings: Settings, run_id: str) -> str:
    """How many records a run decided upon."""
    return f"SELECT count(*) FROM {identifier(settings, REPLAYED.name)} WHERE run_id = {literal(run_id)}"


def lingering() -> str:
    """Ids of the statements of a replay that may still commit: one that is killed counts as failed before it stops."""
    return f"""
        SELECT query_id FROM system.runtime.queries
        WHERE starts_with(query, '{MARKER}') AND (state NOT IN ('FINISHED', 'FAILED') OR query_id IN (
            SELECT query_id FROM system.runtime.tasks
            WHERE state NOT IN ('FINISHED', 'CANCELED', 'ABORTED', 'FAILED')
        ))
        """


def kill(query_id: str) -> str:
    """End a statement."""
    message = "the replay it was part of is over"
    return f"CALL system.runtime.kill_query(query_id => {literal(query_id)}, message => {literal(message)})"


def _chosen(settings: Settings, choice: Choice) -> str:
    rejected, replayed = identifier(settings, REJECTED.name), identifier(settings, REPLAYED.name)
    limits = {
        "ingested_at >= {}": choice.since and literal(choice.since),
        "kafka_partition = {}": choice.partition,
        "kafka_offset >= {}": choice.first_offset,
        "kafka_offset <= {}": choice.last_offset,
    }
    given = "".join(f" AND {form.format(limit)}" for form, limit in limits.items() if limit is not None)
    return f"""
        SELECT payload, reason, kafka_partition, kafka_offset, ingested_at FROM {rejected}
        WHERE reason = {literal(choice.reason)} AND ingested_at <= {literal(choice.until)}{given}
        AND (kafka_partition, kafka_offset) NOT IN (SELECT kafka_partition, kafka_offset FROM {replayed})
        """


def _fields() -> str:
    """As flink/sql/stages/5_fields.sql: strings bare, numbers as JSON writes them, so that "1.5" is none."""
    strings = ", ".join(
        f"json_extract_scalar(event, '$.{'timestamp' if name == 'moment' else name}') AS {name}" for name in FIELDS
    )
    paths = {"latitude": "geo_location.lat", "longitude": "geo_location.lon", "purchase_amount": "purchase_amount"}
    numbers = ", ".join(
        f"nullif(json_format(json_extract(event, '$.{paths[name]}')), 'null') AS {name}" for name in NUMBERS
    )
    return f"""
        SELECT payload, reason, kafka_partition, kafka_offset, ingested_at, {strings}, {numbers}
        FROM (SELECT *, try(json_parse(from_utf8(payload))) AS event FROM chosen)
        """


def _event_time() -> str:
    """As flink/sql/stages/6_parsed.sql: digits beyond microseconds cut, an offset of up to a day."""
    utc, offset = literal(events.UTC_TIMESTAMP_PATTERN), literal(events.OFFSET_TIMESTAMP_PATTERN)

    def local(value: str) -> str:
        cut = rf"regexp_replace({value}, '(\.\d{{6}})\d+', '$1')"
        return f"TRY_CAST(replace({cut}, 'T', ' ') AS timestamp(6))"

    def group(number: int) -> str:
        return f"regexp_extract(moment, {offset}, {number})"

    ahead = f"CAST({group(2)} || '1' AS integer) * (CAST({group(3)} AS integer) * 60 + CAST({group(4)} AS integer))"
    return f"""CASE
            WHEN regexp_like(moment, {utc}) THEN with_timezone({local("rtrim(moment, 'Z')")}, 'UTC')
            WHEN regexp_like(moment, {offset})
                THEN with_timezone(date_add('minute', -({ahead}), {local(group(1))}), 'UTC')
        END"""


def _rules(choice: Choice, settings: Settings) -> str:
    """As flink/sql/stages/6_parsed.sql and flink/sql/rules.sql: the first rule that is broken, in Reason's order."""
    uuid = literal(events.UUID_PATTERN)
    amount, latitude, longitude = events.PURCHASE_AMOUNT_RANGE, events.LATITUDE_RANGE, events.LONGITUDE_RANGE
    broken = {
        "event_id": f"NOT regexp_like(event_id, {uuid})",
        "user_id": f"NOT regexp_like(user_id, {uuid})",
        "event_type": f"event_type NOT IN ({_texts(events.EVENT_TYPES)})",
        "url": f"NOT starts_with(url, '/') OR length(url) > {events.URL_MAX_CHARS}",
        "session_id": f"NOT regexp_like(session_id, {uuid})",
        "device": f"device NOT IN ({_texts(events.DEVICES)})",
    }
    cases = [(f"{name} IS NULL OR {condition}", name) for name, condition in broken.items()]
    cases += [
        ("event_time IS NULL", "timestamp"),
        (f"event_time < ingested_at - INTERVAL '{choice.event_age_days}' DAY", "timestamp_too_old"),
        (f"event_time > ingested_at + INTERVAL '{settings.event_ahead_seconds}' SECOND", "timestamp_in_future"),
        (f"latitude IS NULL OR latitude NOT BETWEEN {latitude[0]} AND {latitude[1]}", "geo_location"),
        (f"longitude IS NULL OR longitude NOT BETWEEN {longitude[0]} AND {longitude[1]}", "geo_location"),
        (f"NOT unpaid AND (purchase_amount IS NULL OR {_out('purchase_amount', amount)})", "purchase_amount"),
    ]
    return "CASE " + " ".join(f"WHEN {condition} THEN {literal(reason)}" for condition, reason in cases) + " END"


def _out(column: str, bounds: tuple[int, int]) -> str:
    return f"{column} NOT BETWEEN {bounds[0]} AND {bounds[1]}"


def _texts(values: tuple[str, ...]) -> str:
    return ", ".join(map(literal, values))


def _is_in(settings: Settings, table: str, row: str, span: Span | None = None) -> str:
    """The condition that a table holds the offset of a row."""
    within = f" AND {span.holds('held.ingested_at')}" if span else ""
    return f"""EXISTS (
            SELECT 1 FROM {identifier(settings, table)} held
            WHERE held.kafka_partition = {row}.kafka_partition AND held.kafka_offset = {row}.kafka_offset{within}
        )"""


def _pending_rows(settings: Settings, span: Span) -> str:
    return f"""
        SELECT * FROM {identifier(settings, REPLAYED.name)} replayed
        WHERE {span.holds("ingested_at")} AND {span.happened} AND {_is_in(settings, REJECTED.name, "replayed", span)}
        """
