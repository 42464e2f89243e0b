"""The work of the setup of Superset; runs in Superset's own Python.

`superset db upgrade`, `superset init`, roles, users and the dashboards of superset/assets in one process, and only what
is to be done: Superset itself is loaded when there is something. The import is one transaction: when it fails, all is
as it was.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import yaml

from clicklake.errors import DashboardError
from clicklake.settings import Settings
from clicklake.stack import superset as stack
from clicklake.stack import superset_copies
from clicklake.stack import superset_state as state
from clicklake.stack.secrets import load
from clicklake.stack.service import as_program

if TYPE_CHECKING:
    from superset.connectors.sqla.models import SqlaTable

METADATA = {"metadata.yaml": "version: 1.0.0\ntype: assets\n"}
CERTIFIED = {"certified_by": "Clicklake", "details": "superset/assets"}
"""How a metric says that it comes from the files; the others on a dataset are a user's own, and stay."""

_log = logging.getLogger("lake.superset")


def main(settings: Settings) -> None:
    """Do what is to be done, and remember it."""
    secrets = load(settings, stack.SECRETS)
    with state.connect(settings, secrets) as connection:
        parts = state.undone(connection, settings, secrets)
        if not parts:
            _log.info("Superset's database and dashboards are as the files say")
            return
        # Taken before the work: a file that is edited meanwhile is imported next time.
        wanted = stack.fingerprints(settings, secrets)
        with application():
            for part, work in _work(settings, secrets).items():
                if part in parts:
                    work()
                    state.mark(connection, part, wanted[part])


def _work(settings: Settings, secrets: Mapping[str, str]) -> dict[str, Callable[[], None]]:
    def application_part() -> None:
        upgrade()
        ensure_users(secrets)
        ensure_roles(_roles())

    def assets_part() -> None:
        keep_copy(settings)
        import_assets(bundle(stack.assets(settings)))
        ensure_roles(_roles())

    return {"application": application_part, "assets": assets_part}


def _roles() -> dict[str, list[list[str]]]:
    return dict(yaml.safe_load(stack.ROLES_FILE.read_text(encoding="utf-8")))


@contextmanager
def application() -> Iterator[None]:
    """Superset, loaded and configured, without a server."""
    from superset.app import create_app

    with create_app().app_context():
        yield


def upgrade() -> None:
    """The database of this version, and the permissions and built-in roles it knows."""
    import flask_migrate
    from superset.extensions import appbuilder, db, security_manager

    _log.info("bringing Superset's database to this version")
    flask_migrate.upgrade()
    appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()
    db.session.commit()


def ensure_users(secrets: Mapping[str, str]) -> None:
    """The stack's users are there, active, with their role and the password of the secrets."""
    from superset.extensions import db, security_manager

    for name, role_name in stack.USERS.items():
        password, role = secrets[f"superset_{name}_password"], security_manager.add_role(role_name)
        user = security_manager.find_user(name)
        if user is None:
            user = security_manager.add_user(name, name.title(), "Clicklake", f"{name}@localhost", role, password)
        if not user:
            raise DashboardError(f"Superset could not make the user {name!r}; its log says why")
        user.active, user.roles = True, list({role, *user.roles})
        db.session.commit()
        security_manager.reset_password(user.id, password)


def ensure_roles(roles: Mapping[str, list[list[str]]]) -> None:
    """The roles of superset/roles.yaml have the permissions listed there, and may read the databases of the assets."""
    from superset.extensions import db, security_manager

    for name, pairs in roles.items():
        found = {tuple(pair): security_manager.find_permission_view_menu(*pair) for pair in pairs}
        if unknown := [pair for pair, permission in found.items() if permission is None]:
            raise DashboardError(f"superset/roles.yaml gives {name} what Superset has not: {unknown}")
        role = security_manager.add_role(name)
        role.permissions = [*found.values(), *_database_access()]
        db.session.commit()


def _database_access() -> list[Any]:
    from superset.extensions import db, security_manager
    from superset.models.core import Database

    databases = db.session.query(Database).filter(Database.is_managed_externally)
    found = (security_manager.find_permission_view_menu("database_access", one.perm) for one in databases)
    return [permission for permission in found if permission is not None]


def keep_copy(settings: Settings) -> None:
    """Keep what an import is about to put the files over: edits that nobody has exported are in it."""
    from superset.commands.export.assets import ExportAssetsCommand
    from superset.extensions import db, security_manager
    from superset.models.core import Database
    from superset.utils.core import override_user

    if not db.session.query(Database).count():
        return
    try:
        with override_user(security_manager.find_user("admin")):
            kept = superset_copies.keep(settings, ((name, text()) for name, text in ExportAssetsCommand().run()))
    except Exception as error:  # noqa: BLE001 - one object that cannot be exported must not keep all from starting
        _log.warning("no copy of what Superset has could be kept: %s", error)
    else:
        _log.info("what Superset had is kept in %s", kept)


def bundle(files: Mapping[str, str]) -> dict[str, str]:
    """The files as Superset's own importer takes them: whole queries in charts, metrics certified."""
    return METADATA | {name: yaml.safe_dump(_completed(name, yaml.safe_load(text))) for name, text in files.items()}


def _completed(name: str, config: dict[str, Any]) -> dict[str, Any]:
    common = {"version": "1.0.0"}
    if name.startswith("charts/"):
        return common | {"query_context": json.dumps(_query_context(config))} | config
    if name.startswith("datasets/"):
        metrics = [metric | {"extra": {"certification": CERTIFIED}} for metric in config.get("metrics", [])]
        return common | config | {"metrics": metrics}
    return common | config


def _query_context(chart: dict[str, Any]) -> dict[str, Any]:
    # The files hold the queries alone: the rest of what a browser would send follows from the chart.
    chart["params"]["viz_type"] = chart["viz_type"]
    queries = chart.pop("queries")
    rest = {"force": False, "result_format": "json", "result_type": "full"}
    return {"datasource": {}, "queries": queries, "form_data": dict(chart["params"]), **rest}


def import_assets(contents: Mapping[str, str]) -> None:
    """Make or overwrite the objects of the files, in one transaction; DashboardError says what is wrong with them."""
    from superset.commands.exceptions import CommandException
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.extensions import db, security_manager
    from superset.utils.core import override_user

    _log.info("importing %d files of superset/assets", len(contents) - 1)
    with override_user(security_manager.find_user("admin")), one_transaction(db.session):
        try:
            ImportAssetsCommand(_with_own_parts(contents)).run()
        except CommandException as error:
            raise DashboardError(f"superset/assets cannot be imported: {_reason(error)}") from error
        db.session.flush()
        # The connection of this transaction, which alone sees what it has made.
        if missing := state.missing_assets(db.session.connection().connection, contents):
            raise DashboardError(f"Superset did not keep {', '.join(missing)}; its log says why")
        _let_refresh(contents)


@contextmanager
def one_transaction(session: Any) -> Iterator[None]:
    """Nothing is committed before the end, nor anything if it ends with an error.

    Superset commits each permission it makes on the way, so that a failed import would leave half of itself behind.
    """
    commit: Callable[[], None] = session.commit
    session.commit = session.flush
    try:
        yield
        commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        del session.commit


def _let_refresh(contents: Mapping[str, str]) -> None:
    from superset.connectors.sqla.models import SqlaTable
    from superset.extensions import db, security_manager

    # Nobody but an owner may change a dataset; those that people make themselves stay theirs alone.
    refresher = security_manager.find_user(stack.REFRESHER)
    files = {name: text for name, text in contents.items() if name.startswith("datasets/")}
    for dataset in db.session.query(SqlaTable).filter(SqlaTable.uuid.in_(state.uuids(files).values())):
        if refresher not in dataset.owners:
            dataset.owners.append(refresher)


def _with_own_parts(contents: Mapping[str, str]) -> dict[str, str]:
    from superset.connectors.sqla.models import SqlaTable
    from superset.extensions import db

    kept = dict(contents)
    for name, text in contents.items():
        config = yaml.safe_load(text)
        if not name.startswith("datasets/"):
            continue
        dataset = db.session.query(SqlaTable).filter_by(uuid=config["uuid"]).one_or_none()
        if dataset is not None:
            kept[name] = yaml.safe_dump(_merged(config, dataset))
    return kept


def _merged(config: dict[str, Any], dataset: SqlaTable) -> dict[str, Any]:
    # The importer drops what the file does not name; metrics and columns that a user has added must outlive it.
    metrics = {metric["metric_name"] for metric in config["metrics"]}
    columns = {column["column_name"] for column in config["columns"]}
    own_metrics = [_exported(one) for one in dataset.metrics if one.metric_name not in metrics and not _certified(one)]
    own_columns = [
        _exported(one)
        for one in dataset.columns
        if one.column_name not in columns and (one.expression or not dataset.is_virtual)
    ]
    return config | {"metrics": config["metrics"] + own_metrics, "columns": config["columns"] + own_columns}


def _certified(metric: Any) -> bool:
    return bool(json.loads(metric.extra or "{}").get("certification") == CERTIFIED)


def _exported(part: Any) -> dict[str, Any]:
    found = part.export_to_dict(recursive=True, include_parent_ref=False, include_defaults=True, export_uuids=False)
    return {name: value for name, value in found.items() if value is not None}


def _reason(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    messages = error.normalized_messages() if hasattr(error, "normalized_messages") else None
    return str(messages or error)[:2000]


if __name__ == "__main__":
    as_program(main)
