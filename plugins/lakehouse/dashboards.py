"""Superset's datasets kept in step with the tables, and its charts asked whether they answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from clicklake.errors import DashboardError

if TYPE_CHECKING:
    from clicklake.superset_client import Answer, Dataset, SupersetClient
    from lakehouse.hooks.superset import SupersetHook

LASTING = ("type=USER_ERROR", "Columns missing in dataset")
"""What an error says that another try does not change: Trino of a statement that is wrong, Superset of a chart."""

_log = logging.getLogger(__name__)


class BrokenError(DashboardError):
    """Charts or datasets that the database does not answer."""


class WrongError(BrokenError, AirflowFailException):
    """All of them are wrong in themselves, which another try does not change."""


class UnknownDatasetError(DashboardError, AirflowFailException):
    """A name that no dataset has, which another try does not change."""


def refresh(hook: SupersetHook, names: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Take over the columns of the datasets of those names, or of all.

    Returns, by name of a dataset, its columns that came and went ("added", "dropped", "retyped"), or its "error".
    """
    with hook.connect() as superset:
        found = {dataset.name: _refresh(superset, dataset) for dataset in _chosen(superset.datasets(), names)}
    _log.info("%d datasets looked at", len(found))
    return {name: change for name, change in found.items() if change}


def _refresh(superset: SupersetClient, dataset: Dataset) -> dict[str, Any]:
    from clicklake.superset_client import ForbiddenError

    try:
        done = superset.refresh(dataset)
    except ForbiddenError as error:
        _log.warning(
            "%s is left as it is; make airflow one of its owners to have it refreshed: %s", dataset.name, error
        )
        return {}
    except DashboardError as error:
        _log.error("%s cannot be refreshed: %s", dataset.name, error)
        return {"error": str(error)}
    changes = {"added": done.added, "dropped": done.dropped, "retyped": done.retyped}
    for what, columns in changes.items():
        if columns:
            _log.info("%s: columns %s: %s", dataset.name, what, ", ".join(columns))
    return {what: list(columns) for what, columns in changes.items() if columns}


def check(hook: SupersetHook, names: Sequence[str], refreshed: Mapping[str, Mapping[str, Any]]) -> int:
    """Ask every chart of those datasets, or of all; how many answered, their answers being in the cache now.

    BrokenError names each chart that does not, with the database's words, and the datasets that have an "error";
    WrongError does where it is sure that none of them will.
    """
    with hook.connect() as superset:
        datasets = {dataset.id: dataset.name for dataset in _chosen(superset.datasets(), names)}
        charts = [chart for chart in superset.charts() if not names or chart.dataset_id in datasets]
        # One after the other: those who look at a dashboard meanwhile come first.
        answers = [superset.warm(chart) for chart in charts]
    broken = [f"dataset {name!r}: {change['error']}" for name, change in refreshed.items() if "error" in change]
    broken += [_told(answer, datasets, refreshed) for answer in answers if answer.error]
    if broken:
        wrong = all(any(words in one for words in LASTING) for one in broken)
        raise (WrongError if wrong else BrokenError)(" | ".join(broken))
    _log.info("%d charts answer", len(answers))
    return len(answers)


def _told(answer: Answer, datasets: Mapping[int, str], refreshed: Mapping[str, Mapping[str, Any]]) -> str:
    dataset = datasets.get(answer.chart.dataset_id, "")
    dropped = refreshed.get(dataset, {}).get("dropped")
    gone = f" (the dataset {dataset!r} has lost {', '.join(dropped)})" if dropped else ""
    return f"chart {answer.chart.name!r}: {answer.error}{gone}"


def _chosen(datasets: Sequence[Dataset], names: Sequence[str]) -> list[Dataset]:
    if unknown := set(names) - {dataset.name for dataset in datasets}:
        there = ", ".join(dataset.name for dataset in datasets)
        raise UnknownDatasetError(
            f"Superset has no dataset {' nor '.join(sorted(unknown))} that airflow sees; it has {there}"
        )
    return [dataset for dataset in datasets if not names or dataset.name in names]
