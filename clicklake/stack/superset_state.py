"""What the setup of Superset has done, kept in Superset's own database, so that it is lost when that is.

Tells in a few milliseconds whether there is anything to do: starting Superset to find out takes ten seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clicklake.catalog import postgres_user
from clicklake.settings import Settings
from clicklake.stack import postgres, superset

if TYPE_CHECKING:
    import psycopg2.extensions

TABLES = {"databases": "dbs", "datasets": "tables", "charts": "slices", "dashboards": "dashboards"}
"""Superset's table for each folder of assets."""
_UUID = re.compile(r"^uuid: *['\"]?([0-9a-f-]{36})", re.MULTILINE)


@contextmanager
def connect(settings: Settings, secrets: Mapping[str, str]) -> Iterator[psycopg2.extensions.connection]:
    """Superset's database; NotReadyError when it is not made yet."""
    user, password = postgres_user(superset.ROLE), secrets["postgres_superset"]
    with postgres.connect(settings, user, password, superset.DATABASE) as connection:
        yield connection


def undone(connection: psycopg2.extensions.connection, settings: Settings, secrets: Mapping[str, str]) -> list[str]:
    """The parts that are to be done, of "application" and "assets": changed since they were last done, or gone."""
    if not _exists(connection, "clicklake_setup") or not _exists(connection, "ab_user"):
        return ["application", "assets"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT part, fingerprint FROM clicklake_setup")
        done = dict(cursor.fetchall())
    parts = [part for part, wanted in superset.fingerprints(settings, secrets).items() if done.get(part) != wanted]
    if "application" not in parts and missing_users(connection):
        parts.insert(0, "application")
    if "assets" not in parts and missing_assets(connection, superset.assets(settings)):
        parts.append("assets")
    return parts


def mark(connection: psycopg2.extensions.connection, part: str, fingerprint: str) -> None:
    """Remember that a part is done."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS clicklake_setup (part text PRIMARY KEY, fingerprint text NOT NULL)")
        cursor.execute(
            "INSERT INTO clicklake_setup VALUES (%s, %s) "
            "ON CONFLICT (part) DO UPDATE SET fingerprint = excluded.fingerprint",
            (part, fingerprint),
        )


def missing_users(connection: psycopg2.extensions.connection) -> list[str]:
    """The stack's users that are not there or not active."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT username FROM ab_user WHERE active")
        there = {name for (name,) in cursor.fetchall()}
    return [user for user in superset.USERS if user not in there]


def missing_assets(connection: psycopg2.extensions.connection, files: Mapping[str, str]) -> list[str]:
    """Those of the files of superset/assets whose object is not there."""
    there: set[str] = set()
    with connection.cursor() as cursor:
        for table in TABLES.values():
            cursor.execute(f"SELECT uuid::text FROM {table}")
            there.update(uuid for (uuid,) in cursor.fetchall())
    return [name for name, uuid in uuids(files).items() if uuid not in there]


def uuids(files: Mapping[str, str]) -> dict[str, str]:
    """The uuid of each file of assets that has one, without reading the files as YAML."""
    found = {name: _UUID.search(text) for name, text in files.items()}
    return {name: match.group(1) for name, match in found.items() if match}


def _exists(connection: psycopg2.extensions.connection, table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (f"public.{table}",))
        return bool(cursor.fetchone() == (True,))
