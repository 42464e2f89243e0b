"""`python -m clicklake.stack.probe SERVICE`: whether a service is ready, as its container's health check asks."""

from __future__ import annotations

import sys

from clicklake.errors import LakeError
from clicklake.settings import Settings
from clicklake.stack.registry import of_module


def main(name: str) -> None:
    """End with 0 when the service is ready; else with 1 and the reason.

    A process every few seconds in every container: it imports what this one service needs.
    """
    try:
        of_module(name).ready(Settings.from_env())
    except LakeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1])
