"""Configuration files from templates: `$name` in an engine's own file becomes a value. Plain standard library."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from string import Template

from clicklake.errors import LakeError


def render(template: Path, target: Path, values: Mapping[str, object]) -> Path:
    """Write `target` from `template`, to be read by its owner alone; LakeError names a `$name` that has no value."""
    return write(target, fill(template, values))


def fill(template: Path, values: Mapping[str, object]) -> str:
    """The template's text with every `$name` replaced; `$$` is a dollar."""
    try:
        return Template(template.read_text(encoding="utf-8")).substitute(values)
    except KeyError as missing:
        raise LakeError(f"{template} asks for ${missing.args[0]}, which has no value") from None
    except ValueError as error:
        raise LakeError(f"{template} is not a template: {error}; write a plain dollar as $$") from None


def write(target: Path, text: str) -> Path:
    """Write a file that only its owner can read."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return target


def escape(value: str) -> str:
    """A value as a properties file writes it."""
    return value.replace("\\", "\\\\").replace("\n", "\\n")
