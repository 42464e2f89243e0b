"""Versions of the stream: the same files give the same name, and what is stored is what runs."""

from __future__ import annotations

import os
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
    assert versions.pack(tmp_path / "again") == packed
    assert (tmp_path / "again" / "sql" / "a.sql").read_text() == "SELECT 1\n"


def test_the_deployment_holds_a_job() -> None:
    assert len(versions.name(versions.pack(ROOT / "flink"))) == 64


def test_a_folder_without_a_job_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VersionError, match=r"holds no job\.py"):
        versions.pack(tmp_path)
