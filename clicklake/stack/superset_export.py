"""What people have made of the dashboards, back in the files: Superset's export in the form of superset/assets.

A file is changed only where its object differs: the rest of it stays as it was written, settings as `$name` among
it. What the import fills in, what differs from machine to machine, and Superset's defaults are left out. The
connection to Trino is the files' own and is not written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Any

import yaml

from clicklake.stack.superset_import import CERTIFIED

Config = dict[str, Any]

REST = ""
"""Where in an order the keys stand that it does not name; else they are last."""

KEYS: dict[str, tuple[str, ...]] = {
    "charts": ("slice_name", "description", "viz_type", "uuid", "dataset_uuid", "cache_timeout", "params", "queries"),
    "dashboards": ("dashboard_title", "description", "slug", "uuid", "published", "css", "metadata", "position"),
    "datasets": (
        *("table_name", "description", "uuid", "database_uuid", "catalog", "schema", "main_dttm_col", "cache_timeout"),
        *("sql", REST, "columns", "metrics"),
    ),
    "columns": ("column_name", "type", "description", "verbose_name", "is_dttm", "groupby", "filterable", "expression"),
    "metrics": ("metric_name", "verbose_name", "expression", "description", "d3format", "currency"),
}
"""The order of what every object of a kind has; anything else comes after it, by name."""
NAMES = {"charts": "slice_name", "dashboards": "dashboard_title", "datasets": "table_name"}
IDENTITIES = ("column_name", "metric_name", "id")
"""What tells the items of a list apart."""
DEFAULTS: Config = {
    "is_active": True,
    "is_dttm": False,
    "groupby": True,
    "filterable": True,
    "offset": 0,
    "filter_select_enabled": True,
    "normalize_columns": False,
    "always_filter_main_dttm": False,
}
OWN_TO_A_MACHINE = {"datasource", "slice_id", "dashboards", "dashboardId", "url_params", "viz_type"}
ADDED_EMPTY = {"annotation_layers", "extra_form_data"}
"""What Superset adds to a chart's parameters without anybody's asking."""
FOLLOWS = {"chartsInScope", "tabsInScope"}
COLOURS_THAT_FOLLOW = {"color_scheme_domain", "shared_label_colors", "map_label_colors"}
EVERYWHERE = ("trino_uri", "airflow_url")
"""Settings that are known by their value wherever it stands; the others only where the file has them."""


@dataclass
class Export:
    """What becomes of the files: text by path below superset/assets."""

    written: dict[str, str] = field(default_factory=dict)
    """Every file an object of which is there, changed or not."""
    gone: list[str] = field(default_factory=list)
    """Files whose object is no longer in Superset."""
    notes: list[str] = field(default_factory=list)
    """What is left out, and why; a sentence each."""


def export(files: Mapping[str, str], found: Mapping[str, str], values: Mapping[str, object]) -> Export:
    """The files as they are to be: from the files as they are, Superset's own export, and the settings' values."""
    return _Exporter(files, found, values).run()


def dump(config: Config) -> str:
    """A file's text."""
    return str(yaml.dump(config, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True))


def ordered(kind: str, config: Config) -> Config:
    """The same, its keys in the order of its kind."""
    places = {name: place for place, name in enumerate(KEYS[kind])}
    rest = places.get(REST, len(places))
    keys = sorted(config, key=lambda name: (places.get(name, rest), "" if name in places else name))
    return {name: _ordered_items(name, config[name]) if kind == "datasets" else config[name] for name in keys}


def _ordered_items(name: str, value: Any) -> Any:
    return [ordered(name, item) for item in value] if name in ("columns", "metrics") else value


class _Dumper(yaml.SafeDumper):
    """SQL and the like as blocks, one line of theirs a line."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


class _Exporter:
    """One export."""

    def __init__(self, files: Mapping[str, str], found: Mapping[str, str], values: Mapping[str, object]) -> None:
        self._values = {name: str(value) for name, value in values.items()}
        self._texts = dict(files)
        self._templates = {path: yaml.safe_load(text) for path, text in files.items()}
        self._filled = {path: yaml.safe_load(Template(text).substitute(values)) for path, text in files.items()}
        self._paths = {config["uuid"]: path for path, config in self._filled.items()}
        self._found = {kind: _by_uuid(kind, found) for kind in ("databases", *NAMES)}
        self._chosen: dict[str, dict[str, Config]] = {kind: {} for kind in NAMES}
        self._result = Export()

    def run(self) -> Export:
        self._choose_dashboards()
        self._choose("charts", (uuid for one in self._chosen["dashboards"].values() for uuid in _charts_on(one)))
        self._choose("datasets", self._datasets_used())
        for kind, objects in self._chosen.items():
            for uuid, config in sorted(objects.items(), key=lambda one: (one[1][NAMES[kind]], one[0])):
                self._write(kind, uuid, config)
        there = {uuid for objects in self._found.values() for uuid in objects}
        self._result.gone = sorted(path for uuid, path in self._paths.items() if uuid not in there)
        return self._result

    def _choose_dashboards(self) -> None:
        for uuid, config in self._found["dashboards"].items():
            name = f"dashboard {config['dashboard_title']!r}"
            if uuid not in self._paths and not config.get("published"):
                self._note(f"{name} is left out: it is a draft; publish it first")
            elif wrong := [text for chart in _charts_on(config) if (text := self._unusable(chart))]:
                self._note(f"{name} is left as it was: {wrong[0]}")
            else:
                self._chosen["dashboards"][uuid] = config

    def _choose(self, kind: str, used: Iterable[str]) -> None:
        wanted = {*used, *(uuid for uuid in self._found[kind] if uuid in self._paths)}
        for uuid in sorted(wanted & self._found[kind].keys()):
            wrong = self._unusable(uuid) if kind == "charts" else ""
            if wrong:
                self._note(f"{wrong}; it is left as it was")
            else:
                self._chosen[kind][uuid] = self._found[kind][uuid]

    def _unusable(self, chart: str) -> str:
        # A chart of another database would be an import that fails elsewhere: the files have the connection to one.
        config = self._found["charts"].get(chart)
        if config is None:
            return f"it shows a chart that Superset no longer has ({chart})"
        dataset = self._found["datasets"].get(config.get("dataset_uuid", ""))
        if dataset is None:
            return f"chart {config['slice_name']!r} has no dataset"
        if dataset["database_uuid"] not in self._paths:
            return f"chart {config['slice_name']!r} asks a database that is not in superset/assets"
        return ""

    def _datasets_used(self) -> set[str]:
        filters = (one for board in self._chosen["dashboards"].values() for one in _native_filters(board))
        targets = {target.get("datasetUuid") for one in filters for target in one.get("targets", [])}
        return {uuid for uuid in targets if uuid} | {one["dataset_uuid"] for one in self._chosen["charts"].values()}

    def _note(self, text: str) -> None:
        self._result.notes.append(text)

    def _write(self, kind: str, uuid: str, found: Config) -> None:
        path = self._paths.get(uuid) or self._new_path(kind, found[NAMES[kind]], uuid)
        old = self._filled.get(path, {})
        new = _FORMS[kind](found, old)
        if kind == "charts" and "queries" not in new:
            self._note(f"chart {found['slice_name']!r} keeps no query of its own; open it in Superset and save it")
        if path in self._texts and _same(new, old):
            self._result.written[path] = self._texts[path]
        else:
            merged = self._merged(self._templates.get(path, {}), old, new)
            if merged.get("schema") == self._values["database"]:
                merged["schema"] = "$database"
            self._result.written[path] = dump(ordered(kind, merged))

    def _new_path(self, kind: str, name: str, uuid: str) -> str:
        slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or uuid[:8]
        path = f"{kind}/{slug}.yaml"
        return path if path not in {*self._texts, *self._result.written} else f"{kind}/{slug}_{uuid[:8]}.yaml"

    def _merged(self, template: Any, old: Any, new: Any) -> Any:
        if _same(old, new):
            return template
        if isinstance(new, dict):
            old, template = (one if isinstance(one, dict) else {} for one in (old, template))
            keys = [*(key for key in old if key in new), *sorted(key for key in new if key not in old)]
            # A key is text of the template too: that of a metric may have a currency in it.
            return {
                (written := key.replace("$", "$$")): self._merged(
                    template.get(written), old.get(key, _NOTHING), new[key]
                )
                for key in keys
            }
        if isinstance(new, list):
            pairs = _pairs(old if isinstance(old, list) else [], template if isinstance(template, list) else [], new)
            return [self._merged(part, before, after) for part, before, after in pairs]
        return self._as_template(new, template) if isinstance(new, str) else new

    def _as_template(self, text: str, before: Any) -> str:
        text = text.replace("$", "$$")
        for name, value in self._values.items():
            if name in EVERYWHERE:
                text = text.replace(value, f"${name}")
            elif isinstance(before, str) and f"${name}" in before:
                text = re.sub(rf"(?<![\w.]){re.escape(value)}(?![\w.]\w)", f"${name}", text)
        return text


_NOTHING = object()


def _same(one: Any, other: Any) -> bool:
    return _NOTHING not in (one, other) and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _pairs(old: list[Any], template: list[Any], new: list[Any]) -> list[tuple[Any, Any, Any]]:
    for identity in IDENTITIES:
        if new and all(isinstance(one, dict) and identity in one for one in (*old, *new)):
            known = {one[identity]: (part, one) for part, one in zip(template, old, strict=True)}
            return [(*known.get(one[identity], (None, _NOTHING)), one) for one in new]
    missing = len(new) - len(old)
    return list(
        zip([*template, *[None] * missing][: len(new)], [*old, *[_NOTHING] * missing][: len(new)], new, strict=True)
    )


def _by_uuid(kind: str, found: Mapping[str, str]) -> dict[str, Config]:
    configs = (yaml.safe_load(text) for path, text in found.items() if path.startswith(f"{kind}/"))
    return {config["uuid"]: config for config in configs}


def _charts_on(dashboard: Config) -> list[str]:
    return [meta["uuid"] for meta in _chart_metas(dashboard) if "uuid" in meta]


def _chart_metas(dashboard: Config) -> list[Config]:
    parts = dashboard.get("position", {}).values()
    return [part["meta"] for part in parts if isinstance(part, dict) and part.get("type") == "CHART"]


def _native_filters(dashboard: Config) -> list[Config]:
    return list(dashboard.get("metadata", {}).get("native_filter_configuration", []))


def _plain(config: Config, old: Config, *without: str) -> Config:
    """Without what is not set, or set as Superset does by itself, unless the file says it too."""
    return {
        name: value
        for name, value in config.items()
        if name not in without
        and (name in old or (value not in (None, "", {}) and (name, value) not in DEFAULTS.items()))
    }


def _chart(found: Config, old: Config) -> Config:
    config = _plain(found, old, "version", "query_context", "params")
    params = {name: value for name, value in found["params"].items() if name not in OWN_TO_A_MACHINE}
    for name in ADDED_EMPTY - old.get("params", {}).keys():
        if not params.get(name):
            params.pop(name, None)
    queries = json.loads(found.get("query_context") or "{}").get("queries")
    kept = {} if queries is None else {"queries": _paired(queries, old.get("queries", []), _query)}
    return config | {"params": params} | kept


def _paired(new: list[Any], old: list[Any], form: Callable[[Any, Any], Any]) -> list[Any]:
    return [form(one, old[place] if place < len(old) else {}) for place, one in enumerate(new)]


def _query(query: Config, old: Config) -> Config:
    # A browser writes out all that a query could have; what is empty asks for nothing.
    kept = {name: value for name, value in query.items() if name not in ("url_params", "datasource")}
    if "extras" in kept:
        kept["extras"] = {name: value for name, value in kept["extras"].items() if value != ""}
    return {name: value for name, value in kept.items() if name in old or value not in (None, "", [], {})}


def _dataset(found: Config, old: Config) -> Config:
    config = _plain(found, old, "version", "columns", "metrics")
    if "sql" in config:
        config["sql"] = "\n".join(line.rstrip() for line in config["sql"].splitlines()) + "\n"
    columns = [_plain(one, {}) for one in found.get("columns", [])]
    metrics = [_metric(one) for one in found.get("metrics", [])]
    return config | {
        "columns": _in_order(columns, old.get("columns", []), "column_name"),
        "metrics": _in_order(metrics, old.get("metrics", []), "metric_name"),
    }


def _metric(found: Config) -> Config:
    extra = dict(found.get("extra") or {})
    if extra.get("certification") == CERTIFIED:
        del extra["certification"]
    return _plain(found | {"extra": extra}, {})


def _in_order(new: list[Config], old: list[Config], name: str) -> list[Config]:
    # Superset gives them in no order that lasts.
    places = {one[name]: place for place, one in enumerate(old)}
    return sorted(new, key=lambda one: (places.get(one[name], len(old)), one[name]))


def _dashboard(found: Config, old: Config) -> Config:
    numbers = _numbers(found, old)
    config = _plain(found, old, "version", "theme_uuid", "metadata", "position")
    position = {key: _placed(part, numbers) for key, part in found["position"].items()}
    return config | {"metadata": _metadata(found.get("metadata", {}), numbers), "position": position}


def _numbers(found: Config, old: Config) -> dict[int, int]:
    """The files' number of each chart, by Superset's id of it: ids are not the same on two machines."""
    known = {meta["uuid"]: int(meta["chartId"]) for meta in _chart_metas(old)}
    for uuid in sorted(set(_charts_on(found)) - known.keys()):
        known[uuid] = max(known.values(), default=0) + 1
    return {int(meta["chartId"]): known[meta["uuid"]] for meta in _chart_metas(found) if "uuid" in meta}


def _placed(part: Any, numbers: Mapping[int, int]) -> Any:
    if not isinstance(part, dict) or part.get("type") != "CHART" or "uuid" not in part["meta"]:
        return part
    return part | {"meta": part["meta"] | {"chartId": numbers[part["meta"]["chartId"]]}}


def _metadata(found: Config, numbers: Mapping[int, int]) -> Config:
    kept = {name: value for name, value in found.items() if name not in COLOURS_THAT_FOLLOW}
    for name in ("timed_refresh_immune_slices", "expanded_slices"):
        if name in kept:
            kept[name] = _renumbered(kept[name], numbers)
    if "native_filter_configuration" in kept:
        kept["native_filter_configuration"] = [_scoped(one, numbers) for one in kept["native_filter_configuration"]]
    if "global_chart_configuration" in kept:
        kept["global_chart_configuration"] = _scoped(kept["global_chart_configuration"], numbers) | {
            "chartsInScope": []
        }
    if "chart_configuration" in kept:
        kept["chart_configuration"] = _cross_filters(kept["chart_configuration"], numbers)
    return kept


def _renumbered(ids: Any, numbers: Mapping[int, int]) -> Any:
    if isinstance(ids, dict):
        return {str(numbers[int(one)]): value for one, value in ids.items() if int(one) in numbers}
    return [numbers[one] for one in ids if one in numbers]


def _scoped(found: Config, numbers: Mapping[int, int]) -> Config:
    kept = {name: value for name, value in found.items() if name not in FOLLOWS}
    if isinstance(kept.get("scope"), dict) and "excluded" in kept["scope"]:
        kept["scope"] = kept["scope"] | {"excluded": _renumbered(kept["scope"]["excluded"], numbers)}
    return kept


def _cross_filters(found: Config, numbers: Mapping[int, int]) -> Config:
    # The browser writes one for every chart; only those that differ from the dashboard's own say something.
    special = {one: value for one, value in found.items() if value.get("crossFilters", {}).get("scope") != "global"}
    return {
        number: value
        | {"id": int(number), "crossFilters": _scoped(value.get("crossFilters", {}), numbers) | {"chartsInScope": []}}
        for number, value in _renumbered(special, numbers).items()
    }


_FORMS: dict[str, Callable[[Config, Config], Config]] = {
    "charts": _chart,
    "datasets": _dataset,
    "dashboards": _dashboard,
}
