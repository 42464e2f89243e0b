"""A copy of the project that a test edits as a developer edits the deployment's checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from clicklake.settings import ROOT

REFERRER = ROOT / "docs" / "examples" / "referrer.patch"
_LEFT_OUT = shutil.ignore_patterns(".git", ".lake", ".env", ".*_cache", ".hypothesis", "__pycache__", "log")


def copy(folder: Path) -> Path:
    """The project's files in a folder that is made for them."""
    shutil.copytree(ROOT, folder, ignore=_LEFT_OUT)
    return folder


def apply(patch: Path, tree: Path) -> None:
    """Apply a patch whole, or fail with what does not fit."""
    # A repository further up would have git leave out all files that are not below where it stands.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    done = subprocess.run(
        ["git", "apply", str(patch)], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{patch.name} no longer applies; make it anew:\n{done.stderr}"


def edit(file: Path, before: str, after: str) -> None:
    """Put one text in the place of another."""
    text = file.read_text(encoding="utf-8")
    assert before in text, f"{file} has no {before!r}"
    file.write_text(text.replace(before, after), encoding="utf-8")
