"""The secrets of the stack: made once, kept in one folder only their owner can open. Plain standard library.

Each engine has a role of its own in the catalog's database and keys of its own to the S3 store, so that none can do
more than it needs. A file put there beforehand is kept: that is how keys to a store of one's own are given, and the
login at a Kafka of one's own, which is never made here.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path

from clicklake.errors import LakeError
from clicklake.settings import Settings

ROLES = ("setup", "flink", "trino", "reader")
"""Who talks to the catalog and the store. `setup` makes everything, `reader` only looks."""

S3_INTERNAL_KEY = "s3_internal_key"
"""What the parts of the S3 store prove themselves to each other with."""


def of_role(role: str) -> tuple[str, ...]:
    """Names of the secrets a role needs to reach the catalog and the store."""
    return (f"postgres_{role}", f"s3_{role}_access_key", f"s3_{role}_secret_key")


TRINO_INTERNAL_SECRET = "trino_internal_secret"  # noqa: S105
"""What the nodes of Trino prove themselves to each other with."""

S3_CONSOLE = ("s3_console_admin_password", "s3_console_viewer_password")
"""What the users of the store's console log in with."""

AIRFLOW = (
    "postgres_airflow",
    "airflow_fernet_key",
    "airflow_api_secret_key",
    "airflow_jwt_secret",
    "airflow_admin_password",
    "airflow_viewer_password",
)
"""Airflow's own database, what it signs and encrypts with, and its users' passwords."""

SUPERSET_AIRFLOW_PASSWORD = "superset_airflow_password"  # noqa: S105
"""What Airflow logs into Superset with."""

SUPERSET = (
    "postgres_superset",
    "superset_secret_key",
    "superset_admin_password",
    "superset_viewer_password",
    SUPERSET_AIRFLOW_PASSWORD,
)
"""Superset's own database, what it signs and encrypts with, and its users' passwords."""

NAMES = (
    "postgres_superuser",
    *(name for role in ROLES for name in of_role(role)),
    S3_INTERNAL_KEY,
    TRINO_INTERNAL_SECRET,
    *S3_CONSOLE,
    *AIRFLOW,
    *SUPERSET,
)


KAFKA = ("kafka_user", "kafka_password")
"""What clients log in with at a Kafka elsewhere: given, never made."""


def of_kafka(settings: Settings) -> tuple[str, ...]:
    """Names of the secrets that Kafka asks its clients for."""
    return KAFKA if settings.kafka_security_protocol.startswith("SASL_") else ()


def folder(settings: Settings) -> Path:
    """Where the secrets are kept, one file each."""
    return settings.home / "secrets"


def ensure(settings: Settings) -> None:
    """Make the secrets that are missing; of two processes at once both end with the same ones."""
    where = folder(settings)
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    where.chmod(0o700)
    for name in NAMES:
        if not (where / name).exists():
            _make(where / name)


def load(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """The secrets of these names; LakeError when one is missing, empty or not to be read."""
    return {name: _read(folder(settings) / name) for name in names}


def table(settings: Settings) -> list[tuple[str, str]]:
    """Every secret as (name, value), for the user to see."""
    return list(load(settings, (*NAMES, *of_kafka(settings))).items())


def _make(path: Path) -> None:
    # The link appears whole or not at all: a process that dies in between leaves no empty secret behind.
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(_generate(path.name) + "\n")
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        Path(draft).unlink()


def _generate(name: str) -> str:
    if name.endswith("_fernet_key"):
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_hex(10).upper() if name.endswith("_access_key") else secrets.token_hex(24)


def _read(path: Path) -> str:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise LakeError(f"the secret {path.name} is not in {path.parent}; {_cure(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LakeError(f"the secret {path} cannot be read ({error}); give the file back to you, mode 0600") from None
    if not value or any(char.isspace() for char in value):
        raise LakeError(f"the secret {path} must be one word; {_cure(path, 'remove the file and ')}")
    return value


def _cure(path: Path, first: str = "") -> str:
    return "write it there, as Kafka knows it" if path.name in KAFKA else f"{first}./lake up makes it"
