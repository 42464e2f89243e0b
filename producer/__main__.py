"""`python -m producer`, which is also `./lake produce`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from clicklake.errors import LakeError
from clicklake.settings import Settings
from producer.blend import Fractions
from producer.clock import parse_start
from producer.run import Request, check, open_truth, run
from producer.truth import Truth

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def produce(
    *,
    rate: Annotated[
        float | None,
        typer.Option(help="Events a second; 0: as fast as Kafka takes them. LAKE_PRODUCE_RATE, with --from 0."),
    ] = None,
    count: Annotated[int | None, typer.Option(help="Stop after so many records.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same events again; with --start the same bytes.")] = None,
    start: Annotated[
        str | None,
        typer.Option(help="Time of the first event, ISO 8601; each next is 1 / rate later. Else they happen now."),
    ] = None,
    bad: Annotated[float, typer.Option(help="Fraction of records that are to be rejected.")] = 0.0,
    late: Annotated[float, typer.Option(help="Fraction of 2 to 10 times LAKE_LATE_SECONDS too old.")] = 0.0,
    duplicates: Annotated[float, typer.Option(help="Fraction of second copies.")] = 0.0,
    independent: Annotated[
        bool, typer.Option("--independent", help="Each field on its own instead of users who walk through a shop.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="FILE|-", help="Send your own events, one a line, gzip or not, as they are."),
    ] = None,
    truth_file: Annotated[
        Path | None, typer.Option("--truth", metavar="FILE", help="Write a JSON line for each record acknowledged.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for Kafka while it does not answer.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was sent as one JSON object.")] = False,
    heartbeat: Annotated[Path | None, typer.Option(hidden=True)] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the stack trace of an error.")] = False,
) -> None:
    """Send click events to Kafka, and print what was sent.

    The same --seed gives the same events, apart from their times; with the same --start, --rate and settings too, it
    gives the same bytes. With --rate 0 and --start each event is 1 / LAKE_PRODUCE_RATE after the one before.
    SIGINT and SIGTERM end the sending once what is queued has arrived.

    --from sends each line byte for byte, without its line feed; empty lines are skipped. The key is the line's user_id.
    """
    try:
        settings = Settings.from_env()
        request = Request(
            rate=rate if rate is not None else (0.0 if source else settings.produce_rate),
            count=count,
            seed=seed,
            start=parse_start(start) if start else None,
            fractions=Fractions(bad, late, duplicates),
            independent=independent,
            source=source,
            heartbeat=heartbeat,
            timeout_seconds=timeout,
        )
        check(request)
        with Truth(open_truth(truth_file)) as truth:
            _run_and_show(request, settings, truth, as_json)
    except LakeError as error:
        if debug:
            raise
        print(f"lake: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _run_and_show(request: Request, settings: Settings, truth: Truth, as_json: bool) -> None:
    try:
        run(request, settings, truth, Console(stderr=True))
    finally:
        if truth.produced or truth.undelivered or not sys.exc_info()[0]:
            truth.show(Console(), as_json)


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments and return the exit status."""
    try:
        app(list(sys.argv[1:] if argv is None else argv), prog_name="lake produce")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


if __name__ == "__main__":
    sys.exit(main())
