"""A merge in portions: Trino sorts what it merges in memory, and a busy day is more than its heap takes at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clicklake.settings import Settings
from clicklake.tables import Table
from clicklake.trino_client import identifier, literal
from lakehouse.maintenance.decide import Action

FILES_MOST = 500
"""Files of one portion: each is named in its statement."""


def files_query(settings: Settings, table: Table, action: Action) -> str:
    """Path and bytes of the day's files below the threshold, in the order of their earliest rows."""
    return f"""
        SELECT file_path, file_size_in_bytes
        FROM {identifier(settings, table.name + "$files")}
        WHERE content = 0
          AND partition.{table.partition_day}_day = {literal(action.day)}
          AND file_size_in_bytes < {action.threshold_bytes}
        ORDER BY json_extract_scalar(readable_metrics, '$.{table.sort[0]}.lower_bound'), file_path
        """


def portions(files: Iterable[tuple[str, int]], target_bytes: int) -> Iterator[tuple[str, ...]]:
    """The files in portions that each make a file of the target size, less than twice as much in bytes.

    Files that follow each other in time come together, so that the merged ones hardly overlap. One left alone at the
    end has nothing to be merged with.
    """
    paths: list[str] = []
    size = 0
    for path, file_bytes in files:
        paths.append(path)
        size += file_bytes
        if size >= target_bytes or len(paths) >= FILES_MOST:
            yield tuple(paths)
            paths, size = [], 0
    if len(paths) > 1:
        yield tuple(paths)
