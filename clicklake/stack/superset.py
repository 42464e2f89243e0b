"""What Superset's processes share: its configuration, as environment variables, its dashboards and its health.

The dashboards are files of superset/assets. The setup imports them when they, or what they are rendered with, have
changed since, and when one of them is gone.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from clicklake.catalog import postgres_user
from clicklake.settings import ROOT, Settings
from clicklake.stack.environments import REQUIREMENTS
from clicklake.stack.render import fill
from clicklake.stack.secrets import SUPERSET, load
from clicklake.stack.service import Context, module_environment
from clicklake.stack.trino import SUPERSET as TRINO_USER
from clicklake.stack.web import fetch

DATABASE = ROLE = "superset"
REFRESHER = "airflow"
"""Who Airflow is to Superset: an owner of the datasets of the files, whose columns it keeps up to date."""
USERS = {"admin": "Admin", "viewer": "Viewer", REFRESHER: "Refresher"}
"""Name and role of Superset's users; each has a password among the secrets."""
SECRETS = SUPERSET
FOLDER = ROOT / "superset"
ASSETS = FOLDER / "assets"
ROLES_FILE = FOLDER / "roles.yaml"
IMPORTER = Path(__file__).with_name("superset_import.py")
QUERY_SECONDS = 120
"""How long a chart may take, and the request for it: for who asks, and in Trino, which would go on without anybody."""
LIVE_DASHBOARD = "clickstream-live"


def command(context: Context, *arguments: str) -> list[str]:
    """A module or a program in Superset's own environment."""
    return [str(context.environments["superset"] / "bin" / "python"), "-P", *arguments]


def environment(context: Context) -> dict[str, str]:
    """Superset's configuration and the settings of the lake."""
    settings, secrets = context.settings, context.secrets
    folder = home(settings)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = {
        "SUPERSET_CONFIG_PATH": str(FOLDER / "superset_config.py"),
        "SUPERSET_HOME": str(folder),
        "SUPERSET_SECRET_KEY": secrets["superset_secret_key"],
        "SUPERSET__SQLALCHEMY_DATABASE_URI": _database(settings, secrets),
        "FLASK_APP": "superset.app:create_app()",
    }
    path = {"PATH": f"{context.environments['superset'] / 'bin'}:/usr/local/bin:/usr/bin:/bin"}
    return {**module_environment(context), **own, **path}


def home(settings: Settings) -> Path:
    """Folder that Superset's processes share: SUPERSET_HOME."""
    return settings.home / "data" / "superset"


def _database(settings: Settings, secrets: Mapping[str, str]) -> str:
    user, password = postgres_user(ROLE), quote(secrets["postgres_superset"], safe="")
    return f"postgresql+psycopg2://{user}:{password}@{settings.postgres_host}:{settings.port('postgres')}/{DATABASE}"


def assets(settings: Settings) -> dict[str, str]:
    """Every file of superset/assets, by its path there, with the settings filled in."""
    filled = values(settings)
    return {str(path.relative_to(ASSETS)): fill(path, filled) for path in sorted(ASSETS.rglob("*.yaml"))}


def values(settings: Settings) -> dict[str, object]:
    """What the files name as `$name`."""
    return {
        "trino_uri": f"trino://{TRINO_USER}@{settings.trino_host}:{settings.port('trino')}/iceberg/{settings.database}",
        "database": settings.database,
        "freshness_slo_seconds": settings.freshness_slo_seconds,
        "airflow_url": settings.public_url("airflow"),
        "query_seconds": QUERY_SECONDS,
    }


def fingerprints(settings: Settings, secrets: Mapping[str, str]) -> dict[str, str]:
    """What the setup's two parts depend on, as hashes: the application with its users, and the assets."""
    lock = (REQUIREMENTS / "superset.txt").read_text(encoding="utf-8")
    key = secrets["superset_secret_key"].encode()
    # Passwords may be a user's own and short: without the key, their hash tells nothing.
    passwords = (hmac.digest(key, secrets[f"superset_{user}_password"].encode(), "sha256").hex() for user in USERS)
    return {
        "application": _hash(lock, ROLES_FILE.read_text(encoding="utf-8"), *passwords),
        "assets": _hash(
            IMPORTER.read_text(encoding="utf-8"), *(f"{name}\n{text}" for name, text in assets(settings).items())
        ),
    }


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def health(settings: Settings) -> None:
    """The web server answers."""
    fetch(f"{settings.superset_url}/health", "Superset")


def url(settings: Settings) -> str:
    """The dashboard that people come for; whoever has not logged in is sent back to it afterwards."""
    return f"{settings.public_url('superset')}/superset/dashboard/{LIVE_DASHBOARD}/"


def password(settings: Settings, user: str) -> str:
    """The password that was made for one of the users."""
    name = f"superset_{user}_password"
    return load(settings, [name])[name]
