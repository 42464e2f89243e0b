"""MinIO: the S3 store when `store` says so, one process with its console in it, and the users it lets in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clicklake.errors import LakeError
from clicklake.settings import Settings
from clicklake.stack import s3
from clicklake.stack.secrets import ROLES, S3_CONSOLE, folder
from clicklake.stack.service import Context, Service
from clicklake.stack.web import fetch

if TYPE_CHECKING:
    from minio import MinioAdmin

ROOT_KEYS = ("s3_setup_access_key", "s3_setup_secret_key")
"""The setup makes everything: it is MinIO's root."""
ADMIN_PASSWORD, VIEWER_PASSWORD = S3_CONSOLE
ACTIONS = {
    "Read": ("GetObject",),
    "Write": ("PutObject", "DeleteObject", "AbortMultipartUpload", "ListMultipartUploadParts"),
    "List": ("ListBucket", "GetBucketLocation", "ListBucketMultipartUploads"),
    "Tagging": ("GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging"),
}
"""What a right of s3/identities.json is called here. One that is not among them is of SeaweedFS' REST catalog."""
OWN_KEYS = {"Effect": "Deny", "Action": ["admin:CreateServiceAccount", "admin:CreateUser"]}
"""MinIO lets anyone make further keys for himself, and change his own; those would outlive the ones that were given."""
ADMIN_POLICY = "consoleAdmin"
"""MinIO's own, of all rights."""
CALL_SECONDS = 30


def configure(context: Context) -> None:
    """All is said by arguments and variables."""
    s3.refuse_another_store(context)


def command(context: Context) -> list[str]:
    """The store and its console in the foreground."""
    settings = context.settings
    return [
        str(context.artifacts["minio"] / "minio"),
        "server",
        f"--address={settings.bind_host}:{settings.port('s3')}",
        f"--console-address={settings.bind_host}:{settings.port('s3_console')}",
        "--anonymous",
        str(context.data),
    ]


def environment(context: Context) -> dict[str, str]:
    """Where root's keys lie, and that it asks nobody for updates."""
    user, password = (str(folder(context.settings) / name) for name in ROOT_KEYS)
    return {
        "MINIO_ROOT_USER_FILE": user,
        "MINIO_ROOT_PASSWORD_FILE": password,
        "MINIO_SERVER_URL": f"http://{context.settings.s3_host}:{context.settings.port('s3')}",
        "MINIO_BROWSER_REDIRECT": "off",
        "MINIO_UPDATE": "off",
        "GOMEMLIMIT": s3.GO_MEMORY_LIMIT,
        # It would look for certificates in the home of whoever starts it.
        "HOME": str(context.config),
    }


@dataclass(frozen=True)
class User:
    """Who MinIO lets in, and the policy that says what for."""

    access_key: str
    secret_key: str
    policy: str


def users(secrets: Mapping[str, str]) -> list[User]:
    """The engines by their keys, and those who log in to the console by a name and a password."""
    engines = [
        User(secrets[f"s3_{role}_access_key"], secrets[f"s3_{role}_secret_key"], f"lake_{role}")
        for role in ROLES
        if role != "setup"
    ]
    viewer = User("viewer", secrets[VIEWER_PASSWORD], "lake_viewer")
    return [*engines, viewer, User("admin", secrets[ADMIN_PASSWORD], ADMIN_POLICY)]


def policies() -> dict[str, dict[str, Any]]:
    """By name, what the engines may do, as s3/identities.json has it, and who only looks at the console."""
    identities = json.loads((s3.TEMPLATES / "identities.json").read_text(encoding="utf-8"))["identities"]
    rights = {one["name"]: one["actions"] for one in identities if one["name"] != "setup"}
    rights["viewer"] = [f"{right}:{bucket}" for bucket in s3.BUCKETS for right in ("Read", "List")]
    return {f"lake_{name}": _policy(granted) for name, granted in rights.items()}


def _policy(rights: Iterable[str]) -> dict[str, Any]:
    statements: list[dict[str, Any]] = [OWN_KEYS]
    for action, _, bucket in (right.partition(":") for right in rights):
        if action in ACTIONS:
            resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
            actions = [f"s3:{name}" for name in ACTIONS[action]]
            statements.append({"Effect": "Allow", "Action": actions, "Resource": resources})
    return {"Version": "2012-10-17", "Statement": statements}


def ensure_users(settings: Settings, secrets: Mapping[str, str]) -> None:
    """Make the users and their policies, or give those that are there what they need; nobody is removed.

    A user with one of our policies whose keys were replaced is turned off.
    """
    from minio.error import MinioAdminException
    from urllib3.exceptions import HTTPError

    wanted, granted = users(secrets), policies()
    try:
        admin = _admin(settings, secrets)
        for name, policy in granted.items():
            admin.policy_add(name, policy=policy)
        for user in wanted:
            admin.user_add(user.access_key, user.secret_key)
            admin.policy_set(user.policy, user=user.access_key)
        there: dict[str, dict[str, str]] = json.loads(admin.user_list())
        for name in there.keys() - {user.access_key for user in wanted}:
            if there[name].get("policyName") in granted:
                admin.user_disable(name)
    except (MinioAdminException, HTTPError) as error:
        raise LakeError(f"MinIO's users cannot be made: {error}") from None


def _admin(settings: Settings, secrets: Mapping[str, str]) -> MinioAdmin:
    from minio import MinioAdmin
    from minio.credentials.providers import StaticProvider
    from urllib3 import PoolManager, Retry

    access_key, secret_key = (secrets[name] for name in ROOT_KEYS)
    return MinioAdmin(
        endpoint=settings.s3_url.removeprefix("http://"),
        credentials=StaticProvider(access_key, secret_key),
        secure=False,
        http_client=PoolManager(timeout=CALL_SECONDS, retries=Retry(5, backoff_factor=0.2, status_forcelist=[503])),
    )


def ready(settings: Settings) -> None:
    """The store serves, and so does its console."""
    s3.ready(settings)
    fetch(f"{settings.s3_console_url}/login", "MinIO's console")


def url(settings: Settings) -> str:
    """Where a browser finds its console."""
    return settings.public_url("s3_console")


SERVICE = Service(
    name="minio",
    summary="S3 store (MinIO) and its console",
    command=command,
    ready=ready,
    configure=configure,
    environment=environment,
    builds=("minio",),
    secrets=ROOT_KEYS,
    ports=("s3", "s3_console"),
    url=url,
)
