"""Settings and secrets become each engine's properties: one catalog, one store, the engine's own identity."""

from collections.abc import Callable

import pytest

from clicklake import catalog
from clicklake.errors import LakeError, SettingError
from clicklake.settings import Settings
from clicklake.stack.secrets import NAMES, ROLES, of_role

SECRETS = {name: f"<{name}>" for name in NAMES}
JDBC = Settings(port_offset=100)
REST = Settings(port_offset=100, catalog_type="rest")
ENGINES: list[tuple[str, Callable[[Settings, dict[str, str]], dict[str, str]]]] = [
    ("flink", catalog.flink_properties),
    ("trino", catalog.trino_properties),
    ("reader", lambda settings, given: catalog.pyiceberg_properties(settings, given, "reader")),
]


@pytest.mark.parametrize("settings", [JDBC, REST], ids=["jdbc", "rest"])
@pytest.mark.parametrize(("role", "properties"), ENGINES, ids=[role for role, _ in ENGINES])
def test_an_engine_is_told_its_own_secrets_and_no_others(
    settings: Settings, role: str, properties: Callable[[Settings, dict[str, str]], dict[str, str]]
) -> None:
    told = " ".join(properties(settings, SECRETS).values())
    others = [name for other in ROLES if other != role for name in of_role(other)]
    assert f"<s3_{role}_secret_key>" in told
    assert (f"<postgres_{role}>" in told) == (settings is JDBC)
    assert not [name for name in [*others, "postgres_superuser"] if f"<{name}>" in told]


@pytest.mark.parametrize("settings", [JDBC, REST], ids=["jdbc", "rest"])
def test_all_engines_share_the_store_and_the_warehouse(settings: Settings) -> None:
    for _, properties in ENGINES:
        told = properties(settings, SECRETS)
        assert told["s3.endpoint"] == "http://127.0.0.1:9100"
        assert settings.catalog_warehouse in told.values()


def test_jdbc_catalogs_share_database_and_name() -> None:
    trino = catalog.trino_properties(JDBC, SECRETS)
    assert trino["iceberg.jdbc-catalog.catalog-name"] == "iceberg"
    assert trino["iceberg.jdbc-catalog.connection-url"] == "jdbc:postgresql://127.0.0.1:15532/iceberg"
    assert catalog.flink_properties(JDBC, SECRETS)["uri"] == trino["iceberg.jdbc-catalog.connection-url"]
    assert catalog.pyiceberg_properties(JDBC, SECRETS, "reader")["uri"] == (
        "postgresql+psycopg2://lake_reader:<postgres_reader>@127.0.0.1:15532/iceberg"
    )


def test_rest_catalogs_share_uri_and_ask_for_a_token_there() -> None:
    uri, token_uri = "http://127.0.0.1:8281", "http://127.0.0.1:8281/v1/oauth/tokens"
    flink, trino = catalog.flink_properties(REST, SECRETS), catalog.trino_properties(REST, SECRETS)
    python = catalog.pyiceberg_properties(REST, SECRETS, "reader")
    assert flink["uri"] == python["uri"] == trino["iceberg.rest-catalog.uri"] == uri
    assert flink["oauth2-server-uri"] == python["oauth2-server-uri"] == token_uri
    assert trino["iceberg.rest-catalog.oauth2.server-uri"] == token_uri


@pytest.mark.parametrize("uri", ["postgresql://db.example:5432/cat", "jdbc:postgresql://db.example:5432/cat"])
def test_a_catalog_elsewhere_is_a_setting(uri: str) -> None:
    settings = Settings(catalog_uri=uri, s3_endpoint="https://s3.example")
    flink = catalog.flink_properties(settings, SECRETS)
    assert flink["uri"] == "jdbc:postgresql://db.example:5432/cat"
    assert flink["s3.endpoint"] == "https://s3.example"


def test_an_uri_that_is_no_postgres_is_an_error() -> None:
    with pytest.raises(SettingError, match="LAKE_CATALOG_URI must be postgresql://"):
        catalog.trino_properties(Settings(catalog_uri="mysql://x/y"), SECRETS)


def test_pyiceberg_acts_as_the_one_role_whose_secrets_it_gets() -> None:
    given = {name: SECRETS[name] for name in of_role("setup")}
    assert "lake_setup" in catalog.pyiceberg_properties(JDBC, given)["uri"]
    with pytest.raises(LakeError, match="exactly one of setup, flink, trino, reader"):
        catalog.pyiceberg_properties(JDBC, SECRETS)


def test_a_secret_that_was_not_declared_is_an_error() -> None:
    with pytest.raises(LakeError, match="the secret postgres_trino was not given"):
        catalog.trino_properties(JDBC, {})
