"""Versions of the stream: the same files give the same name, and what is stored is what runs."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from clicklake import versions
from clicklake.errors import VersionError
from clicklake.settings import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    job = tmp_path / "job"
    (job / "sql").mkdir(parents=True)
    (job / "job.py").write_text("print()\n")
    (job / "sql" / "a.sql").write_text("SELECT 1\n")
    return job


@pytest.fixture
def deployment(tmp_path: Path) -> Path:
    """A copy of the contract's modules."""
    root = tmp_path / "deployment"
    (root / "clicklake").mkdir(parents=True)
    for module in versions.CONTRACT_MODULES:
        shutil.copy(ROOT / "clicklake" / module, root / "clicklake")
    return root


def test_the_same_files_have_the_same_name_whenever_they_were_written(folder: Path) -> None:
    before = versions.pack(folder)
    os.utime(folder / "job.py", (1, 1))
    (folder / "job.py").chmod(0o755)
    assert versions.pack(folder) == before


@pytest.mark.parametrize("name", ["notes.txt", "submit.py", "__pycache__/job.cpython-311.pyc"])
def test_what_is_no_part_of_the_job_changes_nothing(folder: Path, name: str) -> None:
    before = versions.pack(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("x")
    assert versions.pack(folder) == before


def test_a_changed_line_is_another_version(folder: Path) -> None:
    before = versions.name(versions.pack(folder))
    (folder / "sql" / "a.sql").write_text("SELECT 2\n")
    assert versions.name(versions.pack(folder)) != before


def test_what_is_laid_out_is_what_was_packed(folder: Path, tmp_path: Path) -> None:
    packed = versions.pack(folder)
    versions.unpack(packed, tmp_path / "again")
    assert versions.pack(tmp_path / "again" / "flink") == packed
    assert (tmp_path / "again" / "flink" / "sql" / "a.sql").read_text() == "SELECT 1\n"


def test_a_changed_contract_is_another_version(folder: Path, deployment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = versions.pack(folder)
    monkeypatch.setattr(versions, "ROOT", deployment)
    assert versions.pack(folder) == before
    (deployment / "clicklake" / "events.py").write_text("FIELDS = ()\n")
    assert versions.pack(folder) != before


def test_a_version_runs_with_its_own_contract_and_the_deployments_other_modules(folder: Path, tmp_path: Path) -> None:
    (folder / "job.py").write_text(
        "from clicklake import catalog, events, tables\nprint(catalog.__file__, events.__file__, tables.__file__)\n"
    )
    (folder / "__init__.py").touch()
    laid_out = tmp_path / "again"
    versions.unpack(versions.pack(folder), laid_out)
    environment = {"PYTHONPATH": os.pathsep.join([str(laid_out), str(ROOT)])}
    command = [sys.executable, "-P", "-m", "flink.job"]
    told = subprocess.run(command, env=environment, cwd=laid_out, capture_output=True, text=True, check=True).stdout
    own = laid_out / "clicklake"
    assert told.split() == [str(ROOT / "clicklake" / "catalog.py"), str(own / "events.py"), str(own / "tables.py")]


def test_a_version_without_a_contract_takes_the_deployments(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("job.py", "print()\n")
    versions.unpack(packed.getvalue(), tmp_path / "again")
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["flink"]


def test_the_deployment_holds_a_job() -> None:
    assert len(versions.name(versions.pack(ROOT / "flink"))) == 64


def test_a_folder_without_a_job_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VersionError, match=r"holds no job\.py"):
        versions.pack(tmp_path)
