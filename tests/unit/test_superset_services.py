"""Superset's services: where they listen, what they are told, where secrets may appear, and when there is work."""

from __future__ import annotations

import dataclasses

import pytest

from clicklake.settings import ROOT, Settings
from clicklake.stack import environments, secrets, superset, superset_setup, superset_state, superset_web
from clicklake.stack.run import environment
from clicklake.stack.service import Service
from tests.unit.conftest import MakeContext

SERVICES = [superset_setup.SERVICE, superset_web.SERVICE]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_no_secret_on_a_command_line(service: Service, make_context: MakeContext) -> None:
    context = make_context(service)
    line = " ".join(service.command(context))
    assert [name for name, value in context.secrets.items() if value in line] == []


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.9", "127.0.0.9"), ("::1", "[::1]")])
def test_the_server_listens_on_the_one_address_at_its_port(host: str, shown: str, make_context: MakeContext) -> None:
    context = make_context(superset_web.SERVICE)
    context = dataclasses.replace(context, settings=dataclasses.replace(context.settings, bind_host=host))
    assert f"--bind={shown}:8188" in superset_web.command(context)


def test_the_server_opens_no_other_way_in(make_context: MakeContext) -> None:
    assert "--no-control-socket" in superset_web.command(make_context(superset_web.SERVICE))


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_superset_gets_its_own_database_and_its_configuration(service: Service, make_context: MakeContext) -> None:
    context = make_context(service)
    variables = environment(service, context, {})
    uri = variables["SUPERSET__SQLALCHEMY_DATABASE_URI"]
    password = context.secrets["postgres_superset"]
    assert uri == f"postgresql+psycopg2://lake_superset:{password}@127.0.0.1:15532/superset"
    assert variables["SUPERSET_CONFIG_PATH"] == str(ROOT / "superset" / "superset_config.py")
    assert variables["SUPERSET_SECRET_KEY"] == context.secrets["superset_secret_key"]
    assert variables["SUPERSET_HOME"] == str(context.settings.home / "data" / "superset")


def test_superset_has_no_key_to_the_store_nor_to_the_catalog() -> None:
    assert {name for service in SERVICES for name in service.secrets} == set(secrets.SUPERSET)


def test_the_folder_cannot_take_the_place_of_the_package() -> None:
    assert [path.name for path in superset.FOLDER.rglob("*.py")] == ["superset_config.py"]


def test_superset_is_not_installed_on_a_python_it_has_no_wheels_for() -> None:
    assert environments.PYTHON_RANGES["superset"] == ((3, 11), (3, 13))


@pytest.fixture
def made() -> dict[str, str]:
    return {name: f"secret of {name}" for name in secrets.SUPERSET}


def test_nothing_is_to_be_done_twice(made: dict[str, str]) -> None:
    assert superset.fingerprints(Settings(), made) == superset.fingerprints(Settings(), made)


def test_another_place_of_trino_is_imported_anew(made: dict[str, str]) -> None:
    before, after = (superset.fingerprints(Settings(port_offset=offset), made) for offset in (0, 100))
    assert before["application"] == after["application"]
    assert before["assets"] != after["assets"]


def test_another_password_is_set_anew(made: dict[str, str]) -> None:
    before = superset.fingerprints(Settings(), made)
    after = superset.fingerprints(Settings(), made | {"superset_viewer_password": "another"})
    assert before["application"] != after["application"]
    assert before["assets"] == after["assets"]


def test_the_password_cannot_be_guessed_from_the_fingerprint(made: dict[str, str]) -> None:
    one, two = (superset.fingerprints(Settings(), made | {"superset_secret_key": key}) for key in ("one", "two"))
    assert one["application"] != two["application"]


def test_the_uuid_of_a_file_is_its_own_not_that_of_what_it_names() -> None:
    text = "slice_name: x\ndataset_uuid: 00000000-0000-0000-0000-000000000001\nuuid: {0}\nmeta:\n  uuid: nested\n"
    own = "00000000-0000-0000-0000-000000000002"
    assert superset_state.uuids({"charts/x.yaml": text.format(own), "metadata.yaml": "type: assets\n"}) == {
        "charts/x.yaml": own
    }
