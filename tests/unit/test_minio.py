"""MinIO in the place of SeaweedFS: how it is started, whom it lets in, and what it refuses."""

import re
from pathlib import Path

import pytest

from clicklake.errors import LakeError, SettingError
from clicklake.settings import Settings
from clicklake.stack import minio, s3, secrets
from clicklake.stack.service import Service
from tests.unit.conftest import MakeContext

CHANGES = re.compile(r"Put|Delete|Abort|Create|\*")


def test_it_and_its_console_listen_at_the_settings_ports_on_the_one_address(make_context: MakeContext) -> None:
    context = make_context(minio.SERVICE, store="minio")
    ports = [context.settings.port(name) for name in minio.SERVICE.ports]
    assert re.findall(r"address=([\d.]+):(\d+)", " ".join(minio.command(context))) == [
        ("127.0.0.9", str(port)) for port in ports
    ]
    assert minio.url(context.settings) == f"http://127.0.0.1:{ports[1]}"


def test_it_is_told_where_its_secrets_lie_and_not_what_they_are(make_context: MakeContext) -> None:
    context = make_context(minio.SERVICE, store="minio")
    minio.configure(context)
    told = minio.environment(context)
    line = " ".join([*minio.command(context), *told.values()])
    assert not [name for name, value in context.secrets.items() if value in line]
    files = (told["MINIO_ROOT_USER_FILE"], told["MINIO_ROOT_PASSWORD_FILE"])
    assert [Path(file).read_text().strip() for file in files] == [context.secrets[name] for name in minio.ROOT_KEYS]


def test_it_asks_nobody_for_updates_and_reads_no_home_of_a_user(make_context: MakeContext) -> None:
    context = make_context(minio.SERVICE, store="minio")
    told = minio.environment(context)
    assert (told["MINIO_UPDATE"], told["HOME"]) == ("off", str(context.config))


def granted(policy: str) -> dict[str, set[str]]:
    """By bucket, what a policy lets do in it."""
    found: dict[str, set[str]] = {}
    for statement in minio.policies()[policy]["Statement"]:
        for resource in statement.get("Resource", []):
            bucket = resource.removeprefix("arn:aws:s3:::").split("/")[0]
            found.setdefault(bucket, set()).update(statement["Action"])
    return found


def test_who_may_what_is_what_the_identities_of_seaweedfs_say() -> None:
    assert {policy: set(granted(policy)) for policy in minio.policies()} == {
        "lake_flink": {"lake", "flink"},
        "lake_trino": {"lake"},
        "lake_reader": {"lake"},
        "lake_viewer": {"lake", "flink"},
    }
    assert granted("lake_flink")["lake"] == granted("lake_flink")["flink"] == granted("lake_trino")["lake"]
    assert {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"} < granted("lake_trino")["lake"]
    for policy in ("lake_reader", "lake_viewer"):
        actions = set.union(*granted(policy).values())
        assert {"s3:GetObject", "s3:ListBucket"} < actions
        assert not [action for action in actions if CHANGES.search(action)]


def test_nobody_makes_keys_for_himself() -> None:
    assert all(minio.OWN_KEYS in policy["Statement"] for policy in minio.policies().values())


def test_each_engine_has_keys_of_its_own_and_only_the_administrator_all_rights(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    secrets.ensure(settings)
    users = minio.users(secrets.load(settings, secrets.NAMES))
    assert len({user.access_key for user in users}) == len({user.secret_key for user in users}) == len(users)
    assert {user.policy for user in users} == {*minio.policies(), minio.ADMIN_POLICY}
    assert [user.access_key for user in users if user.policy == minio.ADMIN_POLICY] == ["admin"]


@pytest.mark.parametrize(
    ("service", "store", "other"), [(s3.SERVICE, "seaweedfs", "minio"), (minio.SERVICE, "minio", "s3")]
)
def test_a_store_does_not_begin_beside_the_tables_of_the_other(
    make_context: MakeContext, service: Service, store: str, other: str
) -> None:
    context = make_context(service, store=store)
    kept = context.data.with_name(other)
    kept.mkdir()
    service.configure(context)
    (kept / "volume").touch()
    with pytest.raises(LakeError, match=rf"LAKE_STORE is {store}, but {kept} holds .*; set LAKE_STORE="):
        service.configure(context)


def test_a_rest_catalog_must_be_ones_own() -> None:
    with pytest.raises(SettingError, match="LAKE_CATALOG_TYPE is rest, and MinIO brings no REST catalog"):
        Settings.from_env({"LAKE_STORE": "minio", "LAKE_CATALOG_TYPE": "rest"}, Path("/nonexistent"))
    assert Settings(store="minio", catalog_type="rest", catalog_uri="http://catalog:8181").runs("minio")
    assert not Settings(store="minio", catalog_type="rest", s3_endpoint="https://s3.example").runs("minio")
