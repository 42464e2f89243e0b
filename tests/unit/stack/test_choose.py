"""What `up` is told to use from now on."""

from pathlib import Path

import pytest

from clicklake.cli.stack import choose
from clicklake.errors import SettingError
from clicklake.settings import Settings
from clicklake.stack.supervisor import Supervisor

NAME = "LAKE_KAFKA_METADATA"


@pytest.fixture
def env_file(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file .env of the test's own, with a home of its own in the environment."""
    monkeypatch.setenv("LAKE_HOME", str(settings.home))
    monkeypatch.delenv(NAME, raising=False)
    file = tmp_path / ".env"
    file.write_text(f"# mine\nLAKE_PRODUCE_RATE=5\nexport {NAME}=kraft\n{NAME} = kraft\n")
    return file


def test_it_holds_from_now_on_and_the_files_other_lines_stay(env_file: Path, settings: Settings) -> None:
    assert choose({NAME: "zookeeper"}, env_file).kafka_metadata == "zookeeper"
    assert env_file.read_text() == f"# mine\nLAKE_PRODUCE_RATE=5\n{NAME}=zookeeper\n"
    found = Settings.from_env({}, env_file)
    assert (found.kafka_metadata, found.produce_rate) == ("zookeeper", 5)


def test_without_a_file_one_is_made(env_file: Path) -> None:
    env_file.unlink()
    choose({NAME: "zookeeper"}, env_file)
    assert env_file.read_text() == f"{NAME}=zookeeper\n"


@pytest.mark.parametrize(
    ("environment", "text", "says"),
    [
        ("", "zoo", f"{NAME} must be one of kraft, zookeeper, not 'zoo'"),
        ("kraft", "zookeeper", f"{NAME} is 'kraft' in the environment, which wins"),
    ],
)
def test_what_cannot_hold_is_not_written(
    env_file: Path, monkeypatch: pytest.MonkeyPatch, environment: str, text: str, says: str
) -> None:
    if environment:
        monkeypatch.setenv(NAME, environment)
    before = env_file.read_text()
    with pytest.raises(SettingError, match=says):
        choose({NAME: text}, env_file)
    assert env_file.read_text() == before


def test_a_stack_that_runs_is_not_changed(env_file: Path, supervisor: Supervisor) -> None:
    supervisor.launch()
    before = env_file.read_text()
    with pytest.raises(SettingError, match=r"runs with .*; run `./lake down` first"):
        choose({NAME: "zookeeper"}, env_file)
    assert env_file.read_text() == before


def test_a_path_in_the_file_begins_beside_it(env_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env_file.write_text("LAKE_CACHE=downloads\nLAKE_HOME=data\n")
    monkeypatch.chdir("/")
    found = Settings.from_env({"LAKE_HOME": "elsewhere"}, env_file)
    assert (found.cache, found.home) == (tmp_path / "downloads", Path("/elsewhere"))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("LAKE_DATABASE=shop # mine", "shop"),
        ("LAKE_DATABASE='shop # mine' # not mine", "shop # mine"),
        ('LAKE_DATABASE="shop"', "shop"),
        ("LAKE_DATABASE=sh#op", "sh#op"),
        ("\ufeffLAKE_DATABASE=shop", "shop"),
    ],
)
def test_values_are_read_as_compose_reads_them(env_file: Path, line: str, value: str) -> None:
    env_file.write_text(line + "\n", encoding="utf-8")
    assert Settings.from_env({}, env_file).database == value


def test_a_disk_that_is_full_leaves_the_file_as_it_was(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = env_file.read_text()

    def full(path: Path, *_: object, **__: object) -> None:
        path.touch()
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        choose({NAME: "zookeeper"}, env_file)
    assert env_file.read_text() == before
