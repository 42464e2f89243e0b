"""The S3 store's own Iceberg REST catalog: the store serves it, this makes the bucket that is its warehouse."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from clicklake.catalog import catalog_uri
from clicklake.errors import LakeError, NotReadyError
from clicklake.settings import ROOT, Settings
from clicklake.stack import s3
from clicklake.stack.service import Context, Service
from clicklake.stack.web import fetch

if TYPE_CHECKING:
    from mypy_boto3_s3tables import S3TablesClient

PROBE_SECONDS = 3
WAREHOUSE = s3.BUCKETS[0]

_log = logging.getLogger("lake.rest_catalog")


def main(settings: Settings) -> None:
    """Make the table bucket unless it exists; LakeError if an ordinary bucket has its name."""
    from botocore.exceptions import ClientError

    client = s3.tables_client(settings, "setup")
    if WAREHOUSE in _table_buckets(client):
        return
    try:
        client.create_table_bucket(name=WAREHOUSE)
    except ClientError as error:
        if WAREHOUSE in _table_buckets(client):
            return
        raise LakeError(
            f"the bucket {WAREHOUSE!r} cannot become the warehouse of the REST catalog: {error}; "
            f"if it holds the tables of a jdbc catalog, set LAKE_HOME to a new folder"
        ) from None
    _log.info("made table bucket %s", WAREHOUSE)


def _table_buckets(client: S3TablesClient) -> set[str]:
    # An answer without buckets leaves the list out.
    return {bucket["name"] for bucket in client.list_table_buckets().get("tableBuckets", [])}


def configure(_: Context) -> None:
    """Nothing: the store serves the catalog."""


def command(_: Context) -> list[str]:
    """This module, in the Python that runs the command line."""
    return [sys.executable, "-m", "clicklake.stack.rest_catalog"]


def environment(context: Context) -> dict[str, str]:
    """The settings, and where this package is."""
    return {**context.settings.as_env(), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def ready(settings: Settings) -> None:
    """The catalog answers and its warehouse is made."""
    from botocore.exceptions import BotoCoreError, ClientError

    fetch(f"{catalog_uri(settings)}/v1/config", "the REST catalog", PROBE_SECONDS)
    try:
        made = WAREHOUSE in _table_buckets(s3.tables_client(settings, "setup"))
    except (OSError, BotoCoreError, ClientError) as error:
        raise NotReadyError(f"the REST catalog at {catalog_uri(settings)} does not answer: {error}") from None
    if not made:
        raise NotReadyError(f"the table bucket {WAREHOUSE!r} is not made yet")


SERVICE = Service(
    name="rest_catalog",
    summary="makes the warehouse of the S3 store's Iceberg REST catalog",
    command=command,
    ready=ready,
    configure=configure,
    environment=environment,
    secrets=("s3_setup_access_key", "s3_setup_secret_key"),
    after=("s3",),
    url=catalog_uri,
    once=True,
)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        main(Settings.from_env())
    except LakeError as error:
        _log.error("%s", error)
        sys.exit(1)
