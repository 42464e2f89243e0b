"""`python -m kafka.console`: the console of this stack's Kafka, in this terminal."""

from __future__ import annotations

from kaskade.logs import configure_logging

from clicklake.settings import Settings
from kafka.console.app import Console


def main() -> None:
    """Show the console until its user leaves."""
    configure_logging()
    Console(Settings.from_env()).run()


if __name__ == "__main__":
    main()
