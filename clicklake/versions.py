"""Versions of the stream: its SQL and Python and the contract as one archive, kept under the archive's own sha256.

Each submission stores what it submits, so that an upgrade can go back to exactly what ran, whatever the deployment's
files say by then.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

from clicklake.errors import NotReadyError, VersionError
from clicklake.settings import ROOT, Settings
from clicklake.stack import s3

PARAMETER = "clicklake.version"
"""The job's parameter that tells its version, which Flink's REST API shows."""
SUFFIXES = (".py", ".sql")
SUBMITTER = "submit.py"
"""What submits is no part of what is submitted."""
ENTRY = "job.py"
CONTRACT = Path("contract")
"""Where an archive has the modules of `clicklake` that say what an event and a table are."""
CONTRACT_MODULES = ("events.py", "tables.py")
_OVERLAY = """from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
"""
"""Makes a package of the contract alone that has the deployment's `clicklake` behind it for all other modules."""


def pack(folder: Path) -> bytes:
    """The job in a folder as a zip, with the deployment's contract: the same bytes for the same files.

    VersionError when there is no job in the folder.
    """
    if not (folder / ENTRY).is_file():
        raise VersionError(f"{folder} holds no {ENTRY}: name a folder made like flink/ of the deployment")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.suffix in SUFFIXES and path.is_file() and path.relative_to(folder) != Path(SUBMITTER):
                archive.writestr(_entry(path.relative_to(folder)), path.read_bytes())
        for module in CONTRACT_MODULES:
            archive.writestr(_entry(CONTRACT / module), (ROOT / "clicklake" / module).read_bytes())
    return packed.getvalue()


def _entry(path: Path) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path.as_posix(), date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system, entry.external_attr = 3, 0o600 << 16
    return entry


def name(archive: bytes) -> str:
    """The version's name: its sha256, 64 hexadecimal digits."""
    return hashlib.sha256(archive).hexdigest()


def unpack(archive: bytes, folder: Path) -> None:
    """Lay the packages `flink`, the job, and `clicklake`, the contract it was written for, out in a folder.

    An archive without a contract is one of an older version; it runs with the deployment's.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        zipped.extractall(folder / "flink")
    contract = folder / "flink" / CONTRACT
    if contract.is_dir():
        (contract / "__init__.py").write_text(_OVERLAY, encoding="utf-8")
        contract.rename(folder / "clicklake")


def store(settings: Settings, archive: bytes) -> str:
    """Keep a version beside the checkpoints; its name. The same version is kept once."""
    from botocore.exceptions import BotoCoreError, ClientError

    version = name(archive)
    bucket, key = _place(settings, version)
    try:
        s3.client(settings, "flink", attempts=3).put_object(Bucket=bucket, Key=key, Body=archive)
    except (BotoCoreError, ClientError) as error:
        raise NotReadyError(f"version {version[:12]} cannot be kept as s3://{bucket}/{key}: {error}") from None
    return version


def fetch(settings: Settings, version: str) -> bytes:
    """A version that was kept; VersionError when there is none of that name or it was altered."""
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, key = _place(settings, version)
    store = s3.client(settings, "flink", attempts=3)
    try:
        archive = store.get_object(Bucket=bucket, Key=key)["Body"].read()
    except store.exceptions.NoSuchKey:
        raise VersionError(f"there is no version {version!r} of the stream under s3://{bucket}/versions") from None
    except (BotoCoreError, ClientError) as error:
        raise NotReadyError(f"s3://{bucket}/{key} cannot be read: {error}") from None
    if name(archive) != version:
        raise VersionError(f"s3://{bucket}/{key} is not what its name says: it was altered")
    return archive


def _place(settings: Settings, version: str) -> tuple[str, str]:
    return urlsplit(settings.flink_checkpoint_storage).netloc, f"versions/{version}.zip"
