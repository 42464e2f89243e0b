"""What holds for every DAG, and for the folder that Airflow's plugin scanner reads."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pendulum
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import TimeRestriction

from clicklake.settings import ROOT
from clicklake.stack.airflow import BEGAN

DAGS = sorted((ROOT / "dags").glob("*.py"))
HEAVY = {"boto3", "confluent_kafka", "docker", "httpx", "numpy", "pandas", "pyarrow", "pyiceberg", "trino"}
"""What takes long to import or talks to others: a DAG file is read every half minute."""
IMPORT_SECONDS = 1.0


def test_every_file_is_read_without_an_error(dagbag: DagBag) -> None:
    assert dagbag.import_errors == {}
    assert set(dagbag.dags) == {path.stem for path in DAGS}


def test_the_house_rules(dagbag: DagBag) -> None:
    for dag in dagbag.dags.values():
        assert dag.tags, f"{dag.dag_id}: give it a tag"
        assert dag.catchup is False, f"{dag.dag_id}: catchup must be off"
        assert dag.max_active_runs == 1, f"{dag.dag_id}: two runs at once would meet"
        assert dag.doc_md, f"{dag.dag_id}: say what it is for"
        assert "fail" in dag.doc_md.lower(), f"{dag.dag_id}: doc_md must say what to do on failure"
        assert not dag.is_paused_upon_creation, f"{dag.dag_id}: it must run from the first `up` on"
        assert dag.dagrun_timeout, f"{dag.dag_id}: a run that hangs must end"


@pytest.mark.parametrize("dag_id", ["table_maintenance", "data_quality", "superset_refresh"])
def test_what_tends_the_tables_does_not_begin_amid_the_first_start(
    monkeypatch: pytest.MonkeyPatch, dag_id: str
) -> None:
    now = pendulum.now("UTC")
    monkeypatch.setenv(BEGAN, now.isoformat())
    dag = DagBag(dag_folder=str(ROOT / "dags" / f"{dag_id}.py")).dags[dag_id]
    assert dag.start_date == now
    restriction = TimeRestriction(earliest=now, latest=None, catchup=dag.catchup)
    timetable = decode_timetable(encode_timetable(dag.timetable))
    first = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    assert first is not None
    assert now <= first.run_after <= now.add(hours=1)


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.stem)
def test_a_dag_file_imports_nothing_heavy_itself(path: Path) -> None:
    assert _imported(path) & HEAVY == set()


@pytest.mark.timeout(180)
def test_reading_a_dag_takes_no_longer_than_airflow_itself(tmp_path: Path) -> None:
    script = tmp_path / "read.py"
    script.write_text(
        "import importlib.util, json, sys, time\n"
        "import airflow.sdk\n"
        "import airflow.providers.standard.operators.trigger_dagrun\n"
        "before = set(sys.modules)\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "slow = {}\n"
        "for path in sys.argv[2:]:\n"
        "    begun = time.process_time()\n"
        "    spec = importlib.util.spec_from_file_location('dag', path)\n"
        "    spec.loader.exec_module(importlib.util.module_from_spec(spec))\n"
        "    slow[path] = time.process_time() - begun\n"
        f"print(json.dumps([slow, sorted({HEAVY!r} & (set(sys.modules) - before))]))\n"
    )
    command = [sys.executable, "-P", str(script), str(ROOT / "plugins"), *map(str, DAGS)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=170).stdout
    slow, heavy = ast.literal_eval(told.strip().splitlines()[-1])
    assert heavy == []
    assert {path: seconds for path, seconds in slow.items() if seconds > IMPORT_SECONDS} == {}


def test_the_plugin_scanner_sees_the_entry_module_alone() -> None:
    from airflow._shared.module_loading.file_discovery import find_path_from_directory

    found = find_path_from_directory(str(ROOT / "plugins"), ".airflowignore", "glob")
    assert {Path(path).name for path in found if path.endswith(".py")} == {"lakehouse_plugin.py"}


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names
