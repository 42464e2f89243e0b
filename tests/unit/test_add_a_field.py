"""The documentation's example of a new field: it applies to these files, and what it makes of them holds together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from clicklake.settings import ROOT
from tests import tree

HELD_TOGETHER = (
    "test_plain.py",
    "test_stream.py",
    "test_docs.py",
    "test_iceberg.py",
    "test_oracle.py",
    "test_superset_assets.py",
    "producer/test_faults.py",
    "airflow/test_replay.py",
    "airflow/test_house_rules.py",
)
"""Tests of what a field is part of."""


@pytest.mark.timeout(240)
def test_the_example_applies_and_its_parts_agree(tmp_path: Path) -> None:
    patched = tree.copy(tmp_path / "clicklake")
    tree.apply(tree.REFERRER, patched)
    files = [f"tests/unit/{name}" for name in HELD_TOGETHER]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=patched, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_document_names_every_file_of_the_example() -> None:
    told = (ROOT / "docs" / "add_a_field.md").read_text(encoding="utf-8")
    changed = re.findall(r"^\+\+\+ b/(\S+)$", tree.REFERRER.read_text(encoding="utf-8"), re.MULTILINE)
    assert [path for path in changed if f"`{path}`" not in told and f"`{Path(path).parent}/`" not in told] == []
