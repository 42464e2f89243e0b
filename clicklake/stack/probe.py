"""`python -m clicklake.stack.probe SERVICE`: whether a service is ready, as its container's health check asks."""

from __future__ import annotations

import sys

from clicklake.errors import LakeError
from clicklake.settings import Settings
from clicklake.stack.registry import default


def main(name: str) -> None:
    """End with 0 when the service is ready; else with 1 and the reason."""
    try:
        default().find(name).ready(Settings.from_env())
    except LakeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1])
