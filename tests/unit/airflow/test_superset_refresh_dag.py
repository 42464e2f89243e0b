"""The shape of the DAG superset_refresh, and what its tasks do with what Superset says, over a fake wire."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import AssetAny, AssetOrTimeSchedule
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError
from lakehouse import dashboards
from lakehouse.dashboards import BrokenError, UnknownDatasetError, WrongError
from lakehouse.hooks.superset import SupersetHook

from clicklake.errors import DashboardError, NotReadyError

Handler = Callable[[httpx.Request], httpx.Response]
DATASETS = {1: "clickstream", 2: "sessions"}
CHARTS = {7: ("Top pages", 1), 8: ("Sessions", 2)}


def test_its_shape(dagbag: DagBag) -> None:
    dag = dagbag.dags["superset_refresh"]
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {"refresh": {"check"}, "check": set()}
    refresh, check = dag.get_task("refresh"), dag.get_task("check")
    # Superset may come up minutes after Airflow.
    assert (refresh.retries, refresh.retry_delay, refresh.max_retry_delay) == (
        6,
        timedelta(seconds=30),
        timedelta(minutes=2),
    )
    assert check.retries == 1


def test_it_runs_by_the_hour_and_after_what_maintenance_and_quality_say_they_have_done(dagbag: DagBag) -> None:
    schedule = dagbag.dags["superset_refresh"].schedule
    assert isinstance(schedule, AssetOrTimeSchedule)
    others = [dagbag.dags[name] for name in ("data_quality", "table_maintenance")]
    outlets = {asset for dag in others for task in dag.tasks for asset in task.outlets}
    assert isinstance(schedule.asset_condition, AssetAny)
    assert set(schedule.asset_condition.objects) == outlets
    assert len(outlets) == 2


@pytest.mark.parametrize("value", ["clickstream", [1], ["sessions", "sessions"]])
def test_wrong_params_are_refused(dagbag: DagBag, value: object) -> None:
    with pytest.raises(ParamValidationError):
        dagbag.dags["superset_refresh"].params.get_param("datasets").resolve(value)


class Superset:
    """A Superset of two datasets and two charts; what is set here is what it answers."""

    def __init__(self) -> None:
        self.kept = {1: ["url"], 2: ["session_id"]}
        self.source: dict[int, Sequence[str] | httpx.Response] = {1: ["url"], 2: ["session_id"]}
        self.errors: dict[int, str] = {}
        self.put_answer = httpx.Response(200, json={"result": {}})
        self.asked: list[int] = []

    def hook(self) -> SupersetHook:
        """A hook that talks to it."""
        return SupersetHook(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        if path == "/security/login":
            assert json.loads(request.content) == {"username": "airflow", "password": "x", "provider": "db"}
            return httpx.Response(200, json={"access_token": "bearer"})
        if path == "/login/":
            return httpx.Response(302, headers={"Location": "/"})
        if path == "/chart/warm_up_cache":
            return self._warmed(json.loads(request.content)["chart_id"])
        if path.startswith("/datasource/external_metadata/table/"):
            return self._source(int(path.split("/")[-2]))
        return httpx.Response(200, json={"result": self._listed(path)}) if request.method == "GET" else self.put_answer

    def _listed(self, path: str) -> Any:
        if path == "/dataset/":
            return [{"id": number, "table_name": name} for number, name in DATASETS.items()]
        if path == "/chart/":
            return [
                {"id": key, "slice_name": name, "datasource_id": dataset} for key, (name, dataset) in CHARTS.items()
            ]
        if path == "/security/csrf_token/":
            return "token"
        columns = enumerate(self.kept[int(path.rsplit("/", maxsplit=1)[-1])], 1)
        return {"columns": [{"id": key, "column_name": name, "type": "X", "expression": ""} for key, name in columns]}

    def _source(self, dataset: int) -> httpx.Response:
        found = self.source[dataset]
        if isinstance(found, httpx.Response):
            return found
        return httpx.Response(200, json=[{"column_name": name, "type": "X"} for name in found])

    def _warmed(self, chart: int) -> httpx.Response:
        self.asked.append(chart)
        return httpx.Response(200, json={"result": [{"chart_id": chart, "viz_error": self.errors.get(chart)}]})


@pytest.fixture
def superset() -> Superset:
    """One in which all is well."""
    return Superset()


def test_all_is_well(superset: Superset) -> None:
    refreshed = dashboards.refresh(superset.hook())
    assert refreshed == {}
    assert dashboards.check(superset.hook(), [], refreshed) == len(CHARTS)
    assert sorted(superset.asked) == sorted(CHARTS)


def test_what_came_and_went_is_logged(superset: Superset, caplog: pytest.LogCaptureFixture) -> None:
    superset.source[1] = ["referrer"]
    with caplog.at_level(logging.INFO):
        assert dashboards.refresh(superset.hook()) == {"clickstream": {"added": ["referrer"], "dropped": ["url"]}}
    assert "clickstream: columns added: referrer" in caplog.text
    assert "clickstream: columns dropped: url" in caplog.text


def test_a_broken_chart_is_named_with_what_the_database_said_and_what_went(superset: Superset) -> None:
    superset.errors[7] = "line 1:8: Column 'url' cannot be resolved"
    expected = (
        r"^chart 'Top pages': line 1:8: Column 'url' cannot be resolved \(the dataset 'clickstream' has lost url\)$"
    )
    with pytest.raises(BrokenError, match=expected):
        dashboards.check(superset.hook(), [], {"clickstream": {"dropped": ["url"]}})


NO_COLUMN = (
    "TrinoUserError(type=USER_ERROR, name=COLUMN_NOT_FOUND, message=\"line 3:7: Column 'url' cannot be resolved\")"
)
NO_MEMORY = "TrinoQueryError(type=INSUFFICIENT_RESOURCES, name=EXCEEDED_LOCAL_MEMORY_LIMIT)"


@pytest.mark.parametrize(
    ("errors", "again"),
    [
        ({7: NO_COLUMN}, False),
        ({7: NO_COLUMN, 8: "Error: Columns missing in dataset: ['page']"}, False),
        ({7: NO_COLUMN, 8: NO_MEMORY}, True),
        ({8: "Connection refused"}, True),
    ],
)
def test_what_is_wrong_in_itself_is_not_tried_again(superset: Superset, errors: dict[int, str], again: bool) -> None:
    superset.errors |= errors
    with pytest.raises(BrokenError) as raised:
        dashboards.check(superset.hook(), [], {})
    assert isinstance(raised.value, WrongError) is not again
    assert isinstance(raised.value, AirflowFailException) is not again


def test_a_broken_dataset_does_not_hide_the_others(superset: Superset) -> None:
    superset.source |= {1: httpx.Response(400, json={"error": "line 3:4: Table 'x' does not exist"}), 2: ["other"]}
    refreshed = dashboards.refresh(superset.hook())
    assert refreshed["sessions"] == {"added": ["other"], "dropped": ["session_id"]}
    with pytest.raises(BrokenError, match=r"^dataset 'clickstream': .*Table 'x' does not exist"):
        dashboards.check(superset.hook(), [], refreshed)
    assert sorted(superset.asked) == sorted(CHARTS)


def test_somebody_elses_dataset_is_left_to_its_owners(superset: Superset, caplog: pytest.LogCaptureFixture) -> None:
    superset.source[1] = ["referrer"]
    superset.put_answer = httpx.Response(403, json={"message": "Forbidden"})
    assert dashboards.refresh(superset.hook()) == {}
    assert "clickstream is left as it is; make airflow one of its owners" in caplog.text


def test_only_some_datasets_and_their_charts(superset: Superset) -> None:
    superset.source |= {1: ["referrer"], 2: ["other"]}
    assert set(dashboards.refresh(superset.hook(), ["sessions"])) == {"sessions"}
    assert dashboards.check(superset.hook(), ["sessions"], {}) == 1
    assert superset.asked == [8]


@pytest.mark.parametrize("work", [dashboards.refresh, lambda hook, names: dashboards.check(hook, names, {})])
def test_a_dataset_that_is_not_there_is_named(superset: Superset, work: Callable[..., object]) -> None:
    with pytest.raises(UnknownDatasetError, match=r"no dataset visits that airflow sees; it has clickstream, sessions"):
        work(superset.hook(), ["visits"])


def test_a_page_of_the_login_is_no_answer() -> None:
    hook = SupersetHook(transport=httpx.MockTransport(lambda _: httpx.Response(302, headers={"Location": "/login/"})))
    with pytest.raises(DashboardError, match="of airflow to the login page: it is not let in"):
        dashboards.refresh(hook)


def test_a_superset_that_is_away_is_named_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setenv("AIRFLOW_CONN_LAKE_SUPERSET", '{"conn_type": "http", "host": "bi", "port": 9000}')
    with pytest.raises(NotReadyError, match=r"Superset does not answer at http://bi:9000: refused"):
        dashboards.refresh(SupersetHook(transport=httpx.MockTransport(refuse)))
