"""The S3 store: its clients and buckets, whichever it is; and SeaweedFS, all its parts in one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from clicklake.errors import LakeError, NotReadyError
from clicklake.settings import ROOT, Settings
from clicklake.stack.render import render
from clicklake.stack.secrets import ROLES, S3_INTERNAL_KEY, load
from clicklake.stack.service import Context, Service

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3tables import S3TablesClient


class Probe(TypedDict):
    """A bucket and a key, as boto3 takes them."""

    Bucket: str
    Key: str


TEMPLATES = ROOT / "s3"
BUCKETS = ("lake", "flink")
"""Tables; checkpoints and savepoints."""
PROBE: Probe = {"Bucket": "flink", "Key": "ready"}
"""A file of the setup's that tells whether the store opens files: it answers a little before it does."""
VOLUMES_AT_ONCE = "2"
"""How many volume files a bucket gets when it needs one; each takes a share of the free disk."""
GO_MEMORY_LIMIT = "512MiB"
"""Go collects garbage all the time when what lives is close to this; half an hour of commits takes about 200 MiB."""
FOLDERS = {"seaweedfs": "s3", "minio": "minio"}
"""By the setting, whose folder of data the store's is."""
KEYS = tuple(f"s3_{role}_{part}_key" for role in ROLES for part in ("access", "secret"))
PORTS = ("s3", "s3_grpc", "s3_master", "s3_master_grpc", "s3_volume", "s3_volume_grpc", "s3_filer", "s3_filer_grpc")


def configure(context: Context) -> None:
    """Render the options and the identities with what each may do."""
    refuse_another_store(context)
    settings = context.settings
    identities = render(TEMPLATES / "identities.json", context.config / "identities.json", context.secrets)
    values: dict[str, object] = {name.removeprefix("s3_") + "_port": settings.port(name) for name in PORTS[1:]}
    values |= {
        "port": settings.port("s3"),
        "iceberg_port": settings.port("rest_catalog") if settings.catalog_type == "rest" else 0,
        "host": settings.s3_host,
        "bind_host": settings.bind_host,
        "data": context.data,
        "identities": identities,
    }
    render(TEMPLATES / "weed.options", context.config / "weed.options", values)


def refuse_another_store(context: Context) -> None:
    """LakeError if the stack's tables lie in the other store: the catalog would go on naming files that this lacks."""
    chosen = context.settings.store
    for store, name in FOLDERS.items():
        folder = context.data.with_name(name)
        if store != chosen and folder.is_dir() and any(folder.iterdir()):
            raise LakeError(
                f"LAKE_STORE is {chosen}, but {folder} holds the tables of this stack; "
                f"set LAKE_STORE={store}, or begin anew with ./lake down --wipe"
            )


def command(context: Context) -> list[str]:
    """The store in the foreground."""
    weed = context.environments["engines"] / "bin" / "weed"
    return [str(weed), "-logtostderr=true", "-v=0", "server", f"-options={context.config / 'weed.options'}"]


def environment(context: Context) -> dict[str, str]:
    """The key with which the parts sign what they ask of each other, and what has no option."""
    return signing_keys(context) | {"WEED_MASTER_VOLUME_GROWTH_COPY_1": VOLUMES_AT_ONCE, "GOMEMLIMIT": GO_MEMORY_LIMIT}


def signing_keys(context: Context) -> dict[str, str]:
    """The key with which the store's parts sign what they ask of each other, as variables of theirs."""
    parts = ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")
    return {f"WEED_JWT_{part}_KEY": context.secrets[S3_INTERNAL_KEY] for part in parts}


def client(settings: Settings, role: str, attempts: int = 1, timeout_seconds: int = 5) -> S3Client:
    """An S3 client with the keys of a role, which are read from the stack's secrets."""
    return connect(settings, *_keys(settings, role), attempts, timeout_seconds)


def connect(
    settings: Settings, access_key: str, secret_key: str, attempts: int = 1, timeout_seconds: int = 5
) -> S3Client:
    """An S3 client with keys that the caller has."""
    return _session(settings, access_key, secret_key).client(
        "s3", endpoint_url=settings.s3_url, config=_client_config(attempts, timeout_seconds)
    )


def tables_client(settings: Settings, role: str, attempts: int = 1, timeout_seconds: int = 5) -> S3TablesClient:
    """A client of the store's S3 Tables API, whose buckets are warehouses of the REST catalog."""
    return _session(settings, *_keys(settings, role)).client(
        "s3tables", endpoint_url=settings.s3_url, config=_client_config(attempts, timeout_seconds)
    )


def _keys(settings: Settings, role: str) -> tuple[str, str]:
    access_key, secret_key = (f"s3_{role}_{part}_key" for part in ("access", "secret"))
    keys = load(settings, [access_key, secret_key])
    return keys[access_key], keys[secret_key]


def _session(settings: Settings, access_key: str, secret_key: str) -> boto3.Session:
    import boto3

    return boto3.Session(access_key, secret_key, region_name=settings.s3_region)


def _client_config(attempts: int, timeout_seconds: int) -> Config:
    from botocore.config import Config

    return Config(
        connect_timeout=timeout_seconds,
        read_timeout=timeout_seconds,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        s3={"addressing_style": "path"},
    )


def ensure_buckets(settings: Settings) -> list[str]:
    """Make the buckets that are missing, and the file that `ready` reads; returns the names of those made."""
    setup = client(settings, "setup", attempts=8)
    there = {bucket["Name"] for bucket in setup.list_buckets()["Buckets"]}
    missing = [bucket for bucket in BUCKETS if bucket not in there]
    for bucket in missing:
        setup.create_bucket(Bucket=bucket)
    setup.put_object(Bucket=PROBE["Bucket"], Key=PROBE["Key"], Body=b"ready\n")
    return missing


def ready(settings: Settings) -> None:
    """The store opens a file, so that its volumes are there; before the setup has made one, it lists its buckets."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client(settings, "setup").list_buckets()
        client(settings, "setup").get_object(**PROBE)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchBucket", "NoSuchKey"):
            raise NotReadyError(f"the S3 store at {settings.s3_url} does not serve yet: {error}") from None
    except BotoCoreError as error:
        raise NotReadyError(f"the S3 store does not answer: {error}") from None


SERVICE = Service(
    name="s3",
    summary="S3 store (SeaweedFS)",
    command=command,
    ready=ready,
    configure=configure,
    environment=environment,
    environments=("engines",),
    secrets=(*KEYS, S3_INTERNAL_KEY),
    ports=PORTS,
    # It waits 15 s for its own parts to let go of each other; what it acknowledged outlives a kill.
    stop_wait_seconds=5,
)
