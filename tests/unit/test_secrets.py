"""The secrets: made once, whole, closed to others, and read with a sentence when something is wrong."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clicklake.errors import LakeError
from clicklake.settings import Settings
from clicklake.stack import secrets


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "lake")


def test_ensure_makes_every_secret_and_closes_it_to_others(settings: Settings) -> None:
    secrets.ensure(settings)
    folder = secrets.folder(settings)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name for path in folder.iterdir()} == set(secrets.NAMES)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_no_two_secrets_are_the_same_and_two_stacks_share_none(settings: Settings, tmp_path: Path) -> None:
    other = Settings(home=tmp_path / "other")
    for stack in (settings, other):
        secrets.ensure(stack)
    values = [value for stack in (settings, other) for _, value in secrets.table(stack)]
    assert len(set(values)) == 2 * len(secrets.NAMES)
    assert min(map(len, values)) >= 20


def test_a_second_run_changes_nothing_and_keeps_what_a_user_put_there(settings: Settings) -> None:
    folder = secrets.folder(settings)
    folder.mkdir(parents=True)
    (folder / "s3_flink_access_key").write_text("MYOWNKEY\n")
    secrets.ensure(settings)
    first = secrets.table(settings)
    secrets.ensure(settings)
    assert secrets.table(settings) == first
    assert dict(first)["s3_flink_access_key"] == "MYOWNKEY"


def test_many_at_once_agree(settings: Settings) -> None:
    def ensure_and_load(_: int) -> dict[str, str]:
        secrets.ensure(settings)
        return secrets.load(settings, secrets.NAMES)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(ensure_and_load, range(16)))
    assert all(result == results[0] for result in results)
    assert {path.name for path in secrets.folder(settings).iterdir()} == set(secrets.NAMES)


def test_load_gives_the_asked_ones_and_no_others(settings: Settings) -> None:
    secrets.ensure(settings)
    assert set(secrets.load(settings, secrets.of_role("trino"))) == set(secrets.of_role("trino"))


@pytest.mark.parametrize("content", ["", "\n", "two words\n", "two\nlines\n"])
def test_a_secret_that_is_not_one_word_is_an_error(settings: Settings, content: str) -> None:
    secrets.ensure(settings)
    (secrets.folder(settings) / "postgres_flink").write_text(content)
    with pytest.raises(LakeError, match="postgres_flink must be one word"):
        secrets.load(settings, ["postgres_flink"])


def test_a_missing_secret_is_an_error_that_says_how_to_get_it(settings: Settings) -> None:
    with pytest.raises(LakeError, match=r"postgres_flink is not in .*; \./lake up makes it"):
        secrets.load(settings, ["postgres_flink"])
