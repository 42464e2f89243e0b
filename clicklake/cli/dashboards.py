"""The dashboards as files: what people have changed in Superset, written back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clicklake.cli import show
from clicklake.errors import NotReadyError
from clicklake.settings import ROOT, Settings
from clicklake.stack import superset, superset_export, superset_state
from clicklake.stack.secrets import load
from clicklake.superset_client import SupersetClient, unpacked


def export(
    settings: Settings, *, prune: bool, as_json: bool, copy: Path | None = None, folder: Path = superset.ASSETS
) -> None:
    """Bring the files up to what Superset has, and show which have changed; `prune` removes those of lost objects.

    With `copy`, an export of Superset's, to what Superset had then; the next import brings that back.
    """
    files = {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*.yaml")}
    with _objects(settings, copy) as objects:
        found = superset_export.export(files, objects, superset.values(settings))
        states = _states(files, found, prune=prune)
        for name, state in states.items():
            _bring(folder / name, state, found)
    if as_json:
        print(json.dumps({"files": states, "notes": found.notes}))
    else:
        _show(folder, states, found.notes)


@contextmanager
def _objects(settings: Settings, copy: Path | None) -> Iterator[dict[str, str]]:
    """What the files are brought up to: the copy, or what Superset has.

    After the latter, files that waited for no import still do not: it would undo what is edited meanwhile.
    """
    if copy is not None:
        yield unpacked(copy)
        return
    secrets = load(settings, superset.SECRETS)
    with superset_state.connect(settings, secrets) as connection:
        waiting = "assets" in superset_state.undone(connection, settings, secrets)
        yield _from_superset(settings)
        if not waiting:
            superset_state.mark(connection, "assets", superset.fingerprints(settings, secrets)["assets"])


def _from_superset(settings: Settings) -> dict[str, str]:
    try:
        with SupersetClient(settings, "admin", superset.password(settings, "admin")) as client:
            return client.export()
    except NotReadyError as error:
        raise NotReadyError(f"{error}; start it with `./lake up`") from error


def _states(files: dict[str, str], found: superset_export.Export, *, prune: bool) -> dict[str, str]:
    states = {
        name: "new" if name not in files else "unchanged" if files[name] == text else "changed"
        for name, text in found.written.items()
    }
    return dict(sorted((states | dict.fromkeys(found.gone, "removed" if prune else "gone")).items()))


def _bring(path: Path, state: str, found: superset_export.Export) -> None:
    if state == "removed":
        path.unlink()
    elif state in ("new", "changed"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found.written["/".join(path.parts[-2:])], encoding="utf-8")


def _show(folder: Path, states: dict[str, str], notes: list[str]) -> None:
    out = show.console()
    where = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
    told = [(str(where / name), state) for name, state in states.items() if state != "unchanged"]
    if told:
        out.print(show.rows_table(["file", "state"], told))
    counts = Counter(states.values())
    out.print(", ".join(f"{count} {state}" for state, count in sorted(counts.items())), markup=False)
    if counts["gone"]:
        notes = [*notes, "the next start brings back what is gone, unless --prune removes its file"]
    for note in notes:
        out.print(note, markup=False)
