"""The Iceberg catalog and the S3 store as each engine wants them told. Plain standard library.

Which catalog and which store is settings alone: this is the one place that turns them into the properties of Flink,
Trino and PyIceberg.
"""

from __future__ import annotations

from collections.abc import Mapping

from clicklake.errors import LakeError, SettingError
from clicklake.settings import Settings
from clicklake.stack.secrets import ROLES, of_role

Properties = dict[str, str]


def catalog_uri(settings: Settings) -> str:
    """The catalog in use: postgresql://HOST:PORT/DATABASE for jdbc, the URL of the service for rest."""
    if settings.catalog_uri:
        return settings.catalog_uri.removeprefix("jdbc:")
    if settings.catalog_type == "rest":
        return f"http://{settings.s3_host}:{settings.port('rest_catalog')}"
    return f"postgresql://{settings.postgres_host}:{settings.port('postgres')}/iceberg"


def flink_properties(settings: Settings, secrets: Mapping[str, str], role: str = "flink") -> Properties:
    """Properties of Flink's CREATE CATALOG, `type` included."""
    user, password, access_key, secret_key = _identity(secrets, role)
    store = {
        "type": "iceberg",
        "warehouse": settings.catalog_warehouse,
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "s3.endpoint": settings.s3_url,
        "s3.path-style-access": "true",
        "s3.access-key-id": access_key,
        "s3.secret-access-key": secret_key,
        "client.region": settings.s3_region,
    }
    if settings.catalog_type == "rest":
        return store | {
            "catalog-type": "rest",
            "uri": catalog_uri(settings),
            "rest.auth.type": "oauth2",
            "credential": f"{access_key}:{secret_key}",
            "oauth2-server-uri": _token_uri(settings),
        }
    return store | {
        "catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
        "uri": _jdbc_url(settings),
        "jdbc.user": user,
        "jdbc.password": password,
        "jdbc.schema-version": "V1",
    }


def trino_properties(settings: Settings, secrets: Mapping[str, str], role: str = "trino") -> Properties:
    """Properties of the catalog file of Trino's Iceberg connector, all but those that are the same everywhere."""
    user, password, access_key, secret_key = _identity(secrets, role)
    store = {
        "s3.endpoint": settings.s3_url,
        "s3.region": settings.s3_region,
        "s3.path-style-access": "true",
        "s3.aws-access-key": access_key,
        "s3.aws-secret-key": secret_key,
    }
    if settings.catalog_type == "rest":
        return store | {
            "iceberg.catalog.type": "rest",
            "iceberg.rest-catalog.uri": catalog_uri(settings),
            "iceberg.rest-catalog.warehouse": settings.catalog_warehouse,
            "iceberg.rest-catalog.security": "OAUTH2",
            "iceberg.rest-catalog.oauth2.credential": f"{access_key}:{secret_key}",
            "iceberg.rest-catalog.oauth2.server-uri": _token_uri(settings),
        }
    return store | {
        "iceberg.catalog.type": "jdbc",
        "iceberg.jdbc-catalog.catalog-name": settings.catalog_name,
        "iceberg.jdbc-catalog.driver-class": "org.postgresql.Driver",
        "iceberg.jdbc-catalog.connection-url": _jdbc_url(settings),
        "iceberg.jdbc-catalog.connection-user": user,
        "iceberg.jdbc-catalog.connection-password": password,
        "iceberg.jdbc-catalog.default-warehouse-dir": settings.catalog_warehouse,
    }


def pyiceberg_properties(settings: Settings, secrets: Mapping[str, str], role: str = "") -> Properties:
    """Properties of PyIceberg's load_catalog, for the one role whose secrets are given unless `role` names it."""
    user, password, access_key, secret_key = _identity(secrets, role or _only_role(secrets))
    store = {
        "warehouse": settings.catalog_warehouse,
        "s3.endpoint": settings.s3_url,
        "s3.force-virtual-addressing": "false",
        "s3.access-key-id": access_key,
        "s3.secret-access-key": secret_key,
        "s3.region": settings.s3_region,
    }
    if settings.catalog_type == "rest":
        return store | {
            "type": "rest",
            "uri": catalog_uri(settings),
            "credential": f"{access_key}:{secret_key}",
            "oauth2-server-uri": _token_uri(settings),
        }
    scheme, rest = _postgres_uri(settings).split("://", 1)
    uri = f"{scheme}+psycopg2://{user}:{password}@{rest}"
    # PyIceberg would make the catalog's tables without the column that Java's schema V1 has.
    return store | {"type": "sql", "uri": uri, "init_catalog_tables": "false"}


def _identity(secrets: Mapping[str, str], role: str) -> tuple[str, str, str, str]:
    try:
        password, access_key, secret_key = (secrets[name] for name in of_role(role))
    except KeyError as missing:
        raise LakeError(f"the secret {missing.args[0]} was not given to who acts as {role!r}; declare it") from None
    return postgres_user(role), password, access_key, secret_key


def postgres_user(role: str) -> str:
    """Name of a role in PostgreSQL: "lake_flink" for "flink"."""
    return f"lake_{role}"


def _only_role(secrets: Mapping[str, str]) -> str:
    roles = [role for role in ROLES if all(name in secrets for name in of_role(role))]
    if len(roles) != 1:
        raise LakeError(f"the secrets of exactly one of {', '.join(ROLES)} are needed, not of {roles or 'none'}")
    return roles[0]


def _postgres_uri(settings: Settings) -> str:
    uri = catalog_uri(settings)
    if not uri.startswith("postgresql://"):
        raise SettingError(f"LAKE_CATALOG_URI must be postgresql://HOST:PORT/DATABASE for a jdbc catalog, not {uri!r}")
    return uri


def _jdbc_url(settings: Settings) -> str:
    return "jdbc:" + _postgres_uri(settings)


def _token_uri(settings: Settings) -> str:
    return catalog_uri(settings).rstrip("/") + "/v1/oauth/tokens"
