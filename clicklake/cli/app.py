"""The commands and their options. Each hands over to the module that does the work."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from clicklake.errors import LakeError
from clicklake.settings import Settings

PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

Names = Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Only these and what they wait for.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@dataclass
class Options:
    """Options that stand before the command."""

    debug: bool = False
    error_exit_code: int = 1
    """What a command that an error has ended exits with."""


options = Options()
app = typer.Typer(
    name="lake",
    help="Clicklake: click events from Kafka through Flink into Iceberg, queried with Trino, as local processes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
dashboards = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
app.add_typer(dashboards, name="dashboards", help="Superset's dashboards as files.")


@cache
def settings() -> Settings:
    """The settings of this call, read once."""
    return Settings.from_env()


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show stack traces of errors.")] = False) -> None:
    options.debug = debug
    if debug:
        import logging

        logging.basicConfig(level=logging.DEBUG)


@app.command()
def up(
    services: Names = None,
    kafka: Annotated[
        str, typer.Option("--kafka", metavar="kraft|zookeeper", help="Where Kafka keeps its metadata, from now on.")
    ] = "",
    store: Annotated[
        str, typer.Option("--store", metavar="seaweedfs|minio", help="Which S3 store keeps the tables, from now on.")
    ] = "",
) -> None:
    """Install what is missing, start the services and wait until each is ready."""
    from clicklake.cli import stack

    given = {"LAKE_KAFKA_METADATA": kafka, "LAKE_STORE": store}
    chosen = {name: text for name, text in given.items() if text}
    stack.up(services or [], stack.choose(chosen) if chosen else settings())


@app.command()
def down(
    wipe: Annotated[bool, typer.Option("--wipe", help="Also remove all data, logs and secrets.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a wipe.")] = False,
) -> None:
    """Stop everything that `up` has started, and nothing else."""
    from clicklake.cli import stack

    if wipe and not yes:
        typer.confirm(f"Remove everything in {settings().home}: events, tables, logs and secrets?", abort=True)
    stack.down(settings(), wipe=wipe)


@app.command()
def status(json: Json = False) -> None:
    """Show every service, the stream's job, lag and freshness; exit 1 unless all is up."""
    from clicklake.cli.status import show_status

    if not show_status(settings(), as_json=json):
        raise typer.Exit(1)


@app.command()
def logs(
    service: Annotated[str, typer.Argument(metavar="SERVICE")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 50,
) -> None:
    """Show the log of a service."""
    from clicklake.cli.logs import show_log

    show_log(service, settings(), lines=lines, follow=follow)


@app.command()
def sql(statement: Annotated[str, typer.Argument(metavar="STATEMENT")], json: Json = False) -> None:
    """Run one statement in Trino and show what it gives."""
    from clicklake.cli.query import show_sql

    show_sql(statement, settings(), as_json=json)


@app.command()
def audit(json: Json = False) -> None:
    """Check that every record of the topic is in the tables exactly once; exit 1 if not, 2 if unknown."""
    options.error_exit_code = 2
    from clicklake.cli.query import show_audit

    try:
        code = show_audit(settings(), as_json=json)
    except KeyboardInterrupt:
        raise LakeError("The audit was interrupted: nothing is known") from None
    raise typer.Exit(code)


@dashboards.command("export")
def export_dashboards(
    prune: Annotated[bool, typer.Option("--prune", help="Remove files whose object Superset no longer has.")] = False,
    copy: Annotated[
        Path | None, typer.Option("--from", metavar="ZIP", help="Write what is in this export of Superset's instead.")
    ] = None,
    json: Json = False,
) -> None:
    """Write what has been changed in Superset back to superset/assets."""
    from clicklake.cli.dashboards import export

    export(settings(), prune=prune, as_json=json, copy=copy)


@app.command(context_settings=PASS_THROUGH, add_help_option=False)
def produce(context: typer.Context) -> None:
    """Send events to Kafka; `produce --help` shows how many and which."""
    from producer.__main__ import main

    raise typer.Exit(main(context.args))


@app.command(context_settings=PASS_THROUGH, add_help_option=False)
def airflow(context: typer.Context) -> None:
    """Run a command of Airflow's own, such as `airflow dags list`."""
    from clicklake.stack.run import main

    main(["airflow", *context.args], waits=False)


@app.command()
def kafka() -> None:
    """Look at topics, groups and records in Kafka's console, in this terminal."""
    from clicklake.stack.run import main

    main(["kafka_cli"], waits=False)


@app.command()
def credentials() -> None:
    """Show the services' pages and the secrets that were made."""
    from clicklake.cli import stack

    stack.credentials(settings())


@app.command()
def doctor(services: Names = None) -> None:
    """Check Python, disk, memory, ports and downloads; exit 1 if something is not as it must be."""
    from clicklake.cli import stack

    if not stack.doctor(services or [], settings()):
        raise typer.Exit(1)


@app.command(context_settings=PASS_THROUGH, add_help_option=False)
def test(context: typer.Context) -> None:
    """Run every test; arguments go to pytest, which then runs those they name."""
    from clicklake.cli import development

    raise typer.Exit(development.test(context.args, settings()))


@app.command(context_settings=PASS_THROUGH, add_help_option=False, hidden=True)
def python(context: typer.Context) -> None:
    """Become the Python of the tests and checks, with these arguments."""
    from clicklake.cli import development

    development.become(context.args, settings())


@app.command(context_settings=PASS_THROUGH, add_help_option=False, hidden=True)
def run(context: typer.Context) -> None:
    """Become one service, in the foreground; arguments after its name are for it."""
    from clicklake.stack.run import main

    main(context.args)


@app.command(hidden=True)
def install(services: Names = None) -> None:
    """Install what these services need, and start nothing."""
    from clicklake.cli import stack

    stack.install_only(services or [], settings())
