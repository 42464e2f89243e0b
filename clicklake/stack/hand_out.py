"""`python -m clicklake.stack.hand_out FOLDER=SERVICE …`: give each container the secrets of its service.

What is missing of the secrets is made first. A folder holds the secrets that the service declares, and no others: as a
volume, it is all that the containers with it see of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from clicklake.settings import Settings
from clicklake.stack import secrets
from clicklake.stack.registry import default
from clicklake.stack.render import write
from clicklake.stack.service import Service, as_program


def hand_out(settings: Settings, folder: Path, service: Service) -> None:
    """Write the service's secrets into the folder, 0600, and remove what else is there."""
    values = secrets.load(settings, service.secret_names(settings))
    for other in folder.iterdir():
        if other.name not in values:
            other.unlink()
    for name, value in values.items():
        _give(folder / name, value + "\n")


def _give(path: Path, text: str) -> None:
    # Whole or not at all: a container that starts meanwhile reads the old or the new.
    write(path.with_name(f".{path.name}"), text).replace(path)


def main(settings: Settings) -> None:
    """Hand out as the arguments say."""
    secrets.ensure(settings)
    registry = default()
    for argument in sys.argv[1:]:
        folder, _, name = argument.partition("=")
        hand_out(settings, Path(folder), registry.find(name))


if __name__ == "__main__":
    as_program(main)
