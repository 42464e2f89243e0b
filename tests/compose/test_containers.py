"""The whole stack in containers: what it does, what it may, and that nothing is lost when its parts go and come.

The tests of this file are one story, told in order.
"""

from __future__ import annotations

import json
import subprocess
from functools import partial
from typing import Any

import httpx
import pytest

from clicklake.airflow_client import AirflowClient
from clicklake.settings import ROOT, Settings
from tests.compose.containers import COMMITTED_SECONDS, Containers

SETTINGS = Settings()
ENGINES = ("postgres", "s3", "s3-console", "kafka", "kafka-console", "flink-jobmanager", "flink-taskmanager", "trino")
SERVES = (*ENGINES, "docker-proxy", "superset")
PAGES = ("kafka_console", "flink", "s3_console", "trino", "airflow", "superset")
AIRFLOW = ("airflow-api", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")
ELSEWHERE = "docs/examples/compose.s3-elsewhere.yaml"
ASK_DOCKER = """
import json, sys, urllib.error, urllib.request
for path, body in json.load(sys.stdin):
    given = None if body is None else body.encode()
    asked = urllib.request.Request("http://docker-proxy:2375" + path, given, {"Content-Type": "application/json"})
    try:
        print(urllib.request.urlopen(asked, timeout=10).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""
# Its preface and an empty frame of settings.
SPEAK_HTTP_2 = """
import socket
with socket.create_connection(("docker-proxy", 2375), timeout=10) as connection:
    connection.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + bytes(3) + bytes([4]) + bytes(5))
    print(connection.recv(1000))
"""
CREATE = "/v1.41/containers/create"
OURS = {"Image": SETTINGS.submit_image, "Cmd": ["submit", "--help"]}


def with_host(**config: Any) -> str:
    """A container of the image that is let through, with a configuration of the host's side."""
    return json.dumps(OURS | {"HostConfig": config})


OPTIONS = {"DriverConfig": {"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/"}}}
REFUSED: dict[str, tuple[str, str | None]] = {
    "all containers": ("/containers/json", None),
    "volumes": ("/volumes", None),
    "a pull": ("/v1.41/images/create?fromImage=alpine", ""),
    "a command in another container": (f"/containers/{'a' * 64}/exec", "{}"),
    "another image": (CREATE, json.dumps(OURS | {"Image": "clicklake-engines"})),
    "a second image": (CREATE, json.dumps(OURS)[:-1] + ', "image": "clicklake-engines"}'),
    "a second image, far behind": (
        CREATE,
        json.dumps(OURS | {"Labels": {"x": "x" * 30_000}, "image": "clicklake-engines"}),
    ),
    "privileged": (CREATE, with_host(Privileged=True)),
    "privileged, in another case": (CREATE, with_host(privileged=True)),
    "privileged, escaped": (CREATE, with_host(Privileged=True).replace("P", "\\u0050", 1)),
    "a folder of the host": (CREATE, with_host(Binds=["/:/host"])),
    "a mounted folder": (CREATE, with_host(Mounts=[{"Type": "bind", "Source": "/", "Target": "/host"}])),
    "a volume that is a folder": (CREATE, with_host(Mounts=[{"Type": "volume", "VolumeOptions": OPTIONS}])),
    "a device": (CREATE, with_host(Devices=[{"PathOnHost": "/dev/sda"}])),
    "a capability": (CREATE, with_host(CapAdd=["SYS_ADMIN"])),
    "the host's processes": (CREATE, with_host(PidMode="host")),
    "the host's network": (CREATE, with_host(NetworkMode="host")),
    "all devices": (CREATE, with_host(DeviceCgroupRules=["b *:* rwm"])),
    "all of /proc": (CREATE, with_host(MaskedPaths=[])),
    "the host's control groups": (CREATE, with_host(CgroupnsMode="host")),
    "root": (CREATE, json.dumps(OURS | {"User": "0:0"})),
    "root, by another name": (CREATE, json.dumps(OURS | {"User": "+0"})),
    "root, by a letter that passes for another": (CREATE, json.dumps(OURS | {"Uſer": "0"}, ensure_ascii=False)),
    "what does not fit": (CREATE, json.dumps(OURS | {"Labels": {"x": "x" * 100_000}})),
    "a hidden path": ("/v1.41/containers/%63reate", with_host(Privileged=True)),
}


@pytest.mark.parametrize("override", [None, *sorted(path.name for path in ROOT.glob("compose.*.yaml")), ELSEWHERE])
def test_the_files_need_no_variable(override: str | None) -> None:
    files = ("docker-compose.yaml", override) if override else ("docker-compose.yaml",)
    done = subprocess.run(
        ["docker", "compose", *(f"--file={name}" for name in files), "config", "--quiet"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": "/root"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_rows_come_and_every_record_is_there_once(stack: Containers) -> None:
    stack.wait_for("rows are there", stack.events, COMMITTED_SECONDS)
    stack.await_more(60)
    stack.audited()


def test_the_job_was_submitted_by_docker_operator_through_the_proxy(stack: Containers) -> None:
    log = stack.compose("logs", "--no-log-prefix", "docker-proxy")
    assert "/containers/create" in log
    assert [line for line in log.splitlines() if " 403 " in line] == []


def test_the_proxy_lets_nothing_else_through(stack: Containers) -> None:
    # More than a command may have as an argument.
    asked = json.dumps(list(REFUSED.values()))
    said = stack.compose("exec", "-T", "airflow-scheduler", "python", "-c", ASK_DOCKER, stdin=asked).split()
    assert dict(zip(REFUSED, said, strict=True)) == dict.fromkeys(REFUSED, "403")


def test_the_proxy_speaks_no_http_2(stack: Containers) -> None:
    answer = stack.compose("exec", "-T", "airflow-scheduler", "python", "-c", SPEAK_HTTP_2)
    assert "400 Bad request" in answer


def test_nothing_runs_as_root(stack: Containers) -> None:
    users = {service: stack.users(container) for service, container in stack.running()}
    assert users.keys() >= {*SERVES, *AIRFLOW, "producer"}
    assert {service for service, found in users.items() if found != {"10001"}} == set()


def test_every_port_is_on_loopback(stack: Containers) -> None:
    bound = {
        (binding["HostIp"], int(binding["HostPort"]))
        for one in stack.containers()
        for bindings in (one["HostConfig"]["PortBindings"] or {}).values()
        for binding in bindings
    }
    assert bound == {("127.0.0.1", SETTINGS.port(name)) for name in PAGES}


def test_no_secret_is_in_a_containers_definition(stack: Containers) -> None:
    secrets = [line.split()[-1] for line in stack.compose("run", "--rm", "credentials").splitlines() if "_" in line]
    defined = str(stack.containers())
    assert len(secrets) > 10
    assert [secret for secret in secrets if secret in defined] == []


def test_airflow_has_started_the_stream_and_a_viewer_gets_in(stack: Containers) -> None:
    viewer = AirflowClient(SETTINGS, "viewer", stack.password("airflow_viewer_password"))
    assert [run.state for run in viewer.runs("stream_start")] == ["success"]


def test_a_dashboards_charts_answer(stack: Containers) -> None:
    with httpx.Client(base_url=SETTINGS.superset_url, timeout=60) as client:
        given = {"username": "viewer", "password": stack.password("superset_viewer_password"), "provider": "db"}
        token = client.post("/api/v1/security/login", json=given).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        charts = client.get("/api/v1/dashboard/clickstream-live/charts").raise_for_status().json()["result"]
        assert len(charts) > 5
        for chart in charts:
            answer = client.get(f"/api/v1/chart/{chart['id']}/data/")
            assert answer.status_code == 200, (chart["slice_name"], answer.text[:500])


@pytest.mark.parametrize("service", [*SERVES, *AIRFLOW, "producer"])
def test_a_restart_loses_nothing(stack: Containers, service: str) -> None:
    stack.compose("restart", service)
    stack.compose("up", "--detach", "--wait", "--no-deps", "--no-recreate", service)


def test_after_all_restarts_the_stream_goes_on_and_every_record_is_there_once(stack: Containers) -> None:
    stack.await_more(COMMITTED_SECONDS)
    stack.audited()


def test_the_stream_takes_the_slots_that_come_and_gives_up_those_that_go(stack: Containers) -> None:
    for number in (3, 1):
        scale = f"flink-taskmanager={number}"
        stack.compose("up", "--detach", "--wait", "--no-recreate", "--no-deps", "--scale", scale, "flink-taskmanager")
        stack.wait_for(f"the stream runs in {number} slots", partial(stack.runs_in, number), COMMITTED_SECONDS)
        stack.await_more(COMMITTED_SECONDS)
    stack.audited()


def test_down_and_up_keeps_everything(stack: Containers) -> None:
    before, password = stack.events(), stack.password("airflow_admin_password")
    stack.compose("down", "--timeout", "60")
    stack.up()
    assert stack.password("airflow_admin_password") == password
    stack.wait_for("rows grow", lambda: stack.events() > before, COMMITTED_SECONDS)
    audit = stack.settled()
    assert audit["exact"], audit
