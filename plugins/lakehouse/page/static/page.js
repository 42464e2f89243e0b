// Asks for the figures every few seconds and shows them. Text from elsewhere only ever becomes text.
"use strict";

const POLL_MS = 5000, FIRST_POLL_MS = 1000, ANSWER_MS = 4000;
const MANY_SMALL = 20; // fewer small files than this cost no query anything
const REASONS = 7; // the panels beside it are as high
const SVG = "http://www.w3.org/2000/svg";
const AIRFLOW = location.pathname.replace(/\/lakehouse\/.*$/, "");
const $ = (id) => document.getElementById(id);

let answer = null, answeredAt = 0, drawn = {};

/* Elements */

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function link(text, href, here) {
  const anchor = el("a", { href, target: "_blank", rel: "noopener" }, text);
  // Airflow shows the page in a sandbox without leave to open windows, so its own document does.
  anchor.addEventListener("click", (event) => {
    if (window.parent === window) return;
    event.preventDefault();
    const outer = window.parent.document.createElement("a");
    fill(outer, { href, rel: "noopener", target: here ? null : "_blank" }, []);
    outer.click();
  });
  return anchor;
}
const dagLink = (dag) => link(dag, `${AIRFLOW}/dags/${encodeURIComponent(dag)}`, true);

/* Words */

const count = new Intl.NumberFormat("en");
const number = (n) => (n === null || n === undefined ? "–" : count.format(n));
const seconds = (n) => (n === null || n === undefined ? "–" : n >= 120 ? span(n) : `${n.toFixed(1)} s`);
function span(s) {
  s = Math.max(0, Math.round(s));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
  return `${Math.round(s / 86400)} d`;
}
function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) { n /= 1000; i += 1; }
  return `${i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}
const words = (name) => name.replaceAll("_", " ");
const elapsed = () => (performance.now() - answeredAt) / 1000;
const now = () => Date.parse(answer.now) / 1000 + elapsed();
const since = (moment) => now() - Date.parse(moment) / 1000;

/** A text that says how long ago a moment was, and goes on saying so. */
function ago(moment, before = "", after = " ago", make = el) {
  if (!moment) return make === el ? el("span", {}, "–") : svg("tspan", {}, "–");
  const node = (make === el ? el : svg)(make === el ? "span" : "tspan", { "data-since": moment, "data-before": before, "data-after": after, title: make === el ? moment : null });
  tickAge(node);
  return node;
}
const agoSvg = (moment, before, after) => ago(moment, before, after, svg);
function tickAge(node) {
  const age = since(node.dataset.since);
  node.textContent = age < 0 && node.dataset.after === "" ? `in ${span(-age)}` : node.dataset.before + span(age) + node.dataset.after;
}

/* Small pictures */

function spark(values, limit, title) {
  const width = 100, height = 40, known = values.map((v, i) => [i, v]).filter(([, v]) => v !== null);
  if (known.length < 2) return null;
  const top = Math.max(...known.map(([, v]) => v), limit ?? 0) || 1, low = limit ? 0 : Math.min(0, ...known.map(([, v]) => v));
  const x = (i) => (i / (values.length - 1)) * width, y = (v) => height - 2 - ((v - low) / (top - low)) * (height - 4);
  const points = known.map(([i, v]) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
  return svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": title },
    svg("title", {}, title),
    limit ? svg("line", { class: "limit", x1: 0, x2: width, y1: y(limit), y2: y(limit) }) : null,
    svg("polyline", { points }));
}
function share(part, many) {
  return svg("svg", { class: part > 0.5 && many ? "share" : "share low", viewBox: "0 0 54 6", "aria-hidden": "true" },
    svg("rect", { class: "track", width: 54, height: 6, rx: 3 }), svg("rect", { class: "fill", width: 54 * part, height: 6, rx: 3 }));
}
function gauge(p50, p95, slo) {
  const top = Math.max(slo * 1.6, p95 * 1.1), x = (v) => (v / top) * 400;
  const label = el("span", {}, `SLO ${slo} s`);
  label.style.left = `${(100 * slo) / top}%`;
  return el("div", { class: "gauge", role: "img", "aria-label": `p95 ${seconds(p95)}, SLO ${slo} s` },
    svg("svg", { viewBox: "0 0 400 12", preserveAspectRatio: "none" },
      svg("rect", { class: "track", width: 400, height: 12 }), svg("rect", { class: p95 > slo ? "over" : "fill", width: x(p95), height: 12 }),
      svg("rect", { class: "mid", x: x(p50) - 1.5, width: 3, height: 12 }), svg("rect", { class: "slo", x: x(slo) - 1, width: 2, y: -3, height: 18 })),
    label);
}

/* The picture */

const WIDTH = 196, STEP = 250;
const STATIONS = [
  { id: "producer", name: "Producer", group: "kafka", draw: drawProducer },
  { id: "kafka", name: "Kafka", group: "kafka", draw: drawKafka },
  { id: "flink", name: "Flink", group: "flink", draw: drawFlink },
  { id: "iceberg", name: "Iceberg", group: "commits", draw: drawIceberg },
  { id: "trino", name: "Trino → dashboards", group: "freshness", draw: drawTrino },
];
const ROOMS = [
  { id: "watch", name: "Watch", room: true, group: "watch", draw: drawWatchRoom },
  { id: "quality", name: "Quality", room: true, group: "quality", draw: drawQualityRoom },
  { id: "maintenance", name: "Maintenance", room: true, group: "maintenance", draw: drawMaintenanceRoom },
];

function layFlow() {
  const flow = $("flow");
  for (let i = 1; i < STATIONS.length; i += 1) {
    const x = (i - 1) * STEP + 2 + WIDTH, end = x + STEP - WIDTH;
    flow.append(svg("path", { class: "pipe", d: `M${x + 7} 88H${end - 6}`, "marker-end": "url(#tip)" }), svg("path", { class: "stream", id: `pipe-${i}`, d: `M${x + 9} 88H${end - 14}` }));
  }
  STATIONS.forEach((station, i) => {
    const x = i * STEP + 2;
    flow.append(svg("g", { class: "station", id: `station-${station.id}`, transform: `translate(${x} 2)` },
      svg("rect", { class: "box", width: WIDTH, height: 180, rx: 12 }), svg("circle", { class: "dot", cx: WIDTH - 18, cy: 21, r: 5 }),
      svg("text", { class: "name", x: 16, y: 26 }, station.name), svg("g", { class: "figures" })));
  });
  const start = 2 * STEP + 2, width = 2 * STEP + WIDTH, part = width / ROOMS.length;
  for (const x of [start + 98, start + STEP + 98, start + 2 * STEP + 98]) flow.append(svg("line", { class: "tie", x1: x, x2: x, y1: 184, y2: 201 }));
  flow.append(svg("rect", { class: "room", x: start, y: 202, width, height: 58, rx: 12 }));
  ROOMS.forEach((room, i) => flow.append(svg("g", { class: "station", id: `station-${room.id}`, transform: `translate(${start + i * part} 202)` },
    svg("circle", { class: "dot", cx: 19, cy: 22, r: 5 }), svg("text", { class: "name", x: 32, y: 26 }, room.name), svg("g", { class: "figures" }))));
  flow.append(svg("text", { class: "caption", x: start - 14, y: 236, "text-anchor": "end" }, "Airflow, on schedule"));
}

const line = (y, cls, ...content) => svg("text", { x: 16, y, class: cls }, ...content);
const below = (...content) => [svg("text", { x: 32, y: 45, class: "quiet" }, ...content)];

function drawProducer(kafka) {
  const rate = kafka.records_per_second;
  const big = rate === null ? "…" : `${rate >= 100 ? number(Math.round(rate)) : number(rate)} /s`;
  return [rate === 0 ? "warn" : rate === null ? "" : "ok", line(64, "big", big), line(84, "caption", rate === 0 ? "no record came in" : "records come in"), line(112, "quiet", "over the last minute"), line(131, "quiet", `topic ${kafka.topic}`)];
}
function drawKafka(kafka) {
  return ["ok", line(64, "big", number(kafka.end)), line(84, "caption", "offsets, all partitions"), line(112, "", `${number(kafka.retained)} held`),
    line(131, "", `${kafka.partitions.length} partitions`), line(150, "", kafka.lag === null ? "not read yet" : `consumer lag ${number(kafka.lag)}`)];
}
function drawFlink(flink) {
  if (!flink.job_id) return ["bad", line(64, "big", "no job"), line(84, "caption", "the stream was not started"), line(112, "", "start it with the DAG"), line(131, "", "stream_start")];
  const point = flink.checkpoint, well = flink.state === "RUNNING" && flink.copies === 1;
  const until = flink.running_since ? agoSvg(flink.running_since, "for ", "") : svg("tspan", {}, flink.copies > 1 ? `${flink.copies} copies` : `job ${flink.job_id.slice(0, 8)}`);
  const lines = point
    ? [line(112, "", `checkpoint ${number(point.number)}, `, agoSvg(point.completed_at)), line(131, "", `${bytes(point.state_bytes)} in ${seconds(point.duration_seconds)}`)]
    : [line(112, "", "no checkpoint yet")];
  return [well ? "ok" : "bad", line(64, "big", flink.state), line(84, "caption", until), ...lines, line(150, "quiet", `${number(flink.checkpoints_failed)} failed, ${number(flink.restored)} restored`)];
}
function drawIceberg(commits) {
  const rejected = answer.groups.rejected.value, patience = Math.max(60, 6 * answer.facts.checkpoint_interval_seconds);
  const timely = commits.newest_commit && (since(commits.newest_commit) < patience || !commits.waiting);
  return [timely ? "ok" : "warn", line(64, "big", number(commits.committed)), line(84, "caption", "offsets committed"), line(112, "", "last commit ", agoSvg(commits.newest_commit)),
    line(131, "", `${number(commits.waiting)} records to come`), rejected ? line(150, "quiet", `${number(rejected.total)} rejected in an hour`) : null];
}
function drawTrino(fresh) {
  if (fresh.p95_seconds === null) return ["warn", line(64, "big", "–"), line(84, "caption", "no commit in five minutes")];
  const over = fresh.p95_seconds > fresh.slo_seconds, top = Math.max(fresh.slo_seconds * 1.6, fresh.p95_seconds), x = (v) => 16 + (v / top) * 164;
  return [over ? "warn" : "ok", line(64, "big", seconds(fresh.p95_seconds)), line(84, "caption", "event to visible, p95"),
    svg("rect", { class: "track", x: 16, y: 100, width: 164, height: 8, rx: 4 }), svg("rect", { class: "fill", x: 16, y: 100, width: x(fresh.p95_seconds) - 16, height: 8, rx: 4 }),
    svg("line", { class: "slo", x1: x(fresh.slo_seconds), x2: x(fresh.slo_seconds), y1: 96, y2: 112 }),
    line(131, "", `${over ? "over" : "within"} the SLO of ${fresh.slo_seconds} s`), line(150, "quiet", `p50 ${seconds(fresh.p50_seconds)}`)];
}
function drawWatchRoom(watch) {
  const last = watch.verdicts.at(-1);
  if (!last) return ["", ...below("has not looked yet")];
  return last.failed.length ? ["bad", ...below(words(last.failed.join(", ")).slice(0, 30))] : ["ok", ...below("all well, ", agoSvg(last.checked_at))];
}
function drawQualityRoom(quality) {
  const failed = quality.checks.filter((check) => !check.passed), errors = failed.filter((check) => check.severity === "error");
  if (!quality.checks.length) return ["", ...below("has not checked yet")];
  return [errors.length ? "bad" : failed.length ? "warn" : "ok", ...below(`${quality.checks.length - failed.length} of ${quality.checks.length} checks hold`)];
}
function drawMaintenanceRoom(maintenance) {
  const actions = Object.values(maintenance.tables).flat(), newest = actions.map((a) => a.started_at).sort().at(-1);
  if (!newest) return ["", ...below("has not run yet")];
  return [actions.some((a) => a.error) ? "warn" : "ok", ...below("ran ", agoSvg(newest))];
}

function drawStation(station) {
  const place = $(`station-${station.id}`), reading = answer.groups[station.group];
  let state = "", parts;
  if (reading.value) [state, ...parts] = station.draw(reading.value);
  else parts = reading.error ? reasons(reading.error, station.room) : station.room ? below("asking …") : [line(52, "quiet", "asking …")];
  if (reading.error) state = "bad";
  else if (reading.stale) state = "warn";
  place.setAttribute("class", `station ${state}${reading.stale ? " stale" : ""}`);
  if (reading.stale && !station.room) parts.push(line(169, "old", `${span(reading.age_seconds)} old`));
  place.querySelector(".figures").replaceChildren(svg("title", {}, reading.error ?? ""), ...parts.filter(Boolean));
}
function reasons(text, room) {
  if (room) return [svg("text", { x: 32, y: 45, class: "why" }, "cannot be asked")];
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    if ((lines.at(-1) + word).length > 27 && lines.at(-1)) lines.push("");
    lines[lines.length - 1] += (lines.at(-1) ? " " : "") + (word.length > 27 ? `${word.slice(0, 26)}…` : word);
  }
  const shown = lines.slice(0, 6);
  if (lines.length > 6) shown[5] += " …";
  return shown.map((content, i) => line(52 + i * 18, "why", content));
}
function drawPipes() {
  const { kafka, flink, commits } = answer.groups, fresh = (reading) => reading.value && !reading.stale && !reading.error;
  const comes = fresh(kafka) && kafka.value.records_per_second > 0, runs = fresh(flink) && flink.value.state === "RUNNING";
  const commit = fresh(commits) && commits.value.newest_commit && since(commits.value.newest_commit) < 10 * answer.facts.checkpoint_interval_seconds;
  [comes, comes && runs, runs && commit, commit].forEach((flows, i) => $(`pipe-${i + 1}`).classList.toggle("flows", Boolean(flows)));
}

/* The panels */

const PANELS = {
  freshness(fresh) {
    const seen = answer.groups.watch.value?.verdicts ?? [];
    const history = spark(seen.map((v) => v.p95_seconds), fresh.slo_seconds, "p95 at each look of the watch; the dashed line is the SLO");
    if (fresh.p95_seconds === null) return [el("p", { class: "empty" }, "Nothing was committed in the last five minutes."), history];
    const over = fresh.p95_seconds > fresh.slo_seconds;
    return [el("div", { class: "facts" }, fact(seconds(fresh.p50_seconds), "p50"), fact(seconds(fresh.p95_seconds), "p95", over ? "bad-text" : "ok-text"), fact(number(fresh.rows), "rows of the last minutes")),
      gauge(fresh.p50_seconds, fresh.p95_seconds, fresh.slo_seconds), seen.length > 1 ? history : null];
  },
  watch({ verdicts }) {
    const last = verdicts.at(-1);
    if (!last) return [nothing("stream_watch", "has not looked yet")];
    const strip = el("div", { class: "strip" });
    for (let i = verdicts.length; i < 60; i += 1) strip.append(el("i", { class: "none" }));
    for (const v of verdicts) strip.append(el("i", { class: v.failed.length ? "bad" : "ok", title: `${v.checked_at.slice(0, 16).replace("T", " ")}  ${v.failed.length ? v.failed.join(", ") : "all well"}` }));
    const wrong = verdicts.filter((v) => v.failed.length), action = verdicts.filter((v) => v.action).at(-1);
    return [strip,
      el("p", { class: last.failed.length ? "why" : "empty" }, last.failed.length ? `Fails now: ${last.failed.map(words).join(", ")}` : `All well now; ${wrong.length} of the last ${verdicts.length} looks found something wrong.`),
      action ? el("p", { class: "empty" }, `Last done: ${action.action}, `, ago(action.checked_at)) : null,
      verdicts.length > 1 ? spark(verdicts.map((v) => v.lag), null, "records not committed, at each look") : null,
      verdicts.length > 1 && last.lag !== null ? el("span", { class: "muted" }, `lag, ${number(last.lag)} records at the last look`) : null];
  },
  rejected({ total, reasons }) {
    if (!total) return [el("p", { class: "empty" }, "None: every record was a valid event.")];
    const bars = el("div", { class: "bars" });
    const rest = reasons.slice(REASONS), more = rest.reduce((sum, [, n]) => sum + n, 0);
    for (const [reason, n] of reasons.slice(0, REASONS)) {
      bars.append(el("span", { class: "label", title: reason }, words(reason)), svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { width: Math.max(1, (100 * n) / reasons[0][1]), height: 8 })), el("span", {}, number(n)));
    }
    if (!rest.length) return [bars];
    return [bars, el("p", { class: "empty more", title: rest.map(([reason, n]) => `${words(reason)}: ${number(n)}`).join("\n") }, `and ${number(more)} for ${rest.length} other reasons`)];
  },
  tables({ tables }) {
    const done = answer.groups.maintenance.value?.tables ?? {}, next = dag("table_maintenance")?.next_run_at;
    const head = ["Table", "#Rows", "#Files", "#Small", "#Size", "#Snapshots", "#Manifests", "#Metadata", "Files over time", "Last maintenance", "Next"];
    return [grid(head, tables.map((table) => {
      const part = table.files ? table.small_files / table.files : 0;
      return [cell({ class: "name", title: `${table.name}: ${table.meaning}` }, table.name), n(table.rows), n(table.files),
        cell({ class: "n", title: `${number(table.small_files)} files below ${bytes(answer.facts.small_file_bytes)}` }, table.files ? `${Math.round(100 * part)} %` : "–", share(part, table.small_files > MANY_SMALL)),
        cell({ class: "n" }, bytes(table.bytes)), n(table.snapshots), n(table.manifests), cell({ class: "n" }, bytes(table.metadata_bytes)),
        cell({}, spark(table.trend.map(([, files]) => files), null, `files, from ${number(table.trend[0]?.[1])} to ${number(table.trend.at(-1)?.[1])}`) ?? "–"),
        cell({ class: "wide" }, ...maintained(done[table.name])), cell({ class: "nowrap" }, ago(next, "due for ", ""))];
    }))];
  },
  quality({ checks }) {
    if (!checks.length) return [nothing("data_quality", "has not checked anything in the last day")];
    const failed = checks.filter((check) => !check.passed);
    const held = el("p", { class: "empty" }, `${checks.length - failed.length} of ${checks.length} checks hold; last run `, ago(checks.map((c) => c.checked_at).sort().at(-1)));
    const wrong = failed.length ? grid(["Check", "Found", "Message"], failed.map((check) => [
      cell({ class: "name", title: `${check.table}.${check.name} (${check.scope})` }, mark(check.severity === "error" ? "bad" : "warn"), `${check.table}.${check.name}`),
      cell({ class: "nowrap" }, `${check.observed === null ? "–" : number(Number(check.observed.toPrecision(4)))} (${check.expected})`), cell({ class: "wide" }, check.message)])) : null;
    const tables = el("ul", { class: "list apart" }, ...[...new Set(checks.map((check) => check.table))].sort().map((name) => {
      const own = checks.filter((check) => check.table === name), bad = own.filter((check) => !check.passed);
      return el("li", {}, mark(bad.some((check) => check.severity === "error") ? "bad" : bad.length ? "warn" : "ok"), name,
        el("span", { class: "when" }, `${own.length - bad.length} of ${own.length} hold`));
    }));
    return [held, wrong, tables];
  },
  commits({ partitions }) {
    return [grid(["#", "#Kafka end", "#Committed", "#To come"], partitions.map((p) => [cell({}, String(p.number)), n(p.end), n(p.next), n(p.end - p.next)]))];
  },
  dags({ dags }) {
    if (!dags.length) return [el("p", { class: "empty" }, "Airflow has read no DAG yet.")];
    const colour = { success: "ok", failed: "bad", running: "busy", queued: "busy" };
    return [el("ul", { class: "list" }, ...dags.map((d) => el("li", {}, el("span", { class: `mark ${colour[d.last_state] ?? ""}`, title: d.last_state ?? "never ran" }), dagLink(d.name),
      el("span", { class: "when" }, d.paused ? "paused" : d.next_run_at ? ago(d.next_run_at, "due for ", "") : d.last_at ? ago(d.last_at) : "never ran"))))];
  },
};
const fact = (value, name, cls = "") => el("div", {}, el("b", { class: cls }, value), el("span", {}, name));
const mark = (cls) => el("span", { class: `mark ${cls}` });
const cell = (attributes, ...content) => el("td", attributes, ...content);
const n = (value) => cell({ class: "n" }, number(value));
const dag = (name) => answer.groups.dags.value?.dags.find((one) => one.name === name);
const nothing = (name, what) => el("p", { class: "empty" }, "The DAG ", dag(name) ? dagLink(name) : name, ` ${what}.`);
function grid(head, rows) {
  const titles = head.map((title, i) => (title.startsWith("#") && title.length > 1 ? el("th", { class: "n", scope: "col" }, title.slice(1)) : el("th", { scope: "col" }, title)));
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...titles)), el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells)))));
}
function maintained(actions) {
  if (!actions?.length) return [el("span", { class: "muted" }, "not yet")];
  const failed = actions.find((a) => a.error), did = actions.filter((a) => a.action !== "none" && !a.dry_run && !a.error), when = ago(actions.at(-1).started_at);
  if (failed) return [el("span", { class: "bad-text", title: failed.error }, `${words(failed.action)} failed, `), when];
  return did.length ? [`${did.map((a) => words(a.action)).join(", ")}, `, when] : [el("span", { class: "muted", title: actions[0].reason }, actions.some((a) => a.dry_run) ? "dry run, " : "nothing to do, "), when];
}

function drawPanel(section) {
  const name = section.dataset.group, reading = answer.groups[name], body = section.querySelector(".body");
  const parts = reading.value ? PANELS[name](reading.value) : reading.error ? [] : [el("p", { class: "empty" }, "asking …")];
  if (reading.error) parts.unshift(el("p", { class: "why" }, reading.error));
  body.replaceChildren(...parts.filter(Boolean));
}

/* The whole */

function draw() {
  const state = (name) => JSON.stringify([answer.groups[name].value, answer.groups[name].error, answer.groups[name].stale]);
  const seen = JSON.stringify(Object.keys(answer.groups).map(state));
  [...STATIONS, ...ROOMS].forEach(drawStation);
  drawPipes();
  if (drawn.seen !== seen) document.querySelectorAll("[data-group]").forEach(drawPanel);
  drawConcerns();
  if (!drawn.links) $("links").append(...Object.entries(answer.facts.links).map(([name, url]) => link(`${name} ↗`, url, false)));
  drawn = { seen, links: true };
  tick();
}
function drawConcerns() {
  const list = answer.concerns, worst = list[0]?.level, waits = Object.values(answer.groups).some((g) => !g.value && !g.error);
  $("verdict").className = `pill ${worst === "error" ? "bad" : worst ? "warn" : waits ? "" : "ok"}`;
  $("verdict").textContent = list.length ? `${list.length} ${list.length === 1 ? "thing needs" : "things need"} a look` : waits ? "asking …" : "All is well";
  const key = JSON.stringify(list);
  if (key === $("concerns").dataset.key) return;
  $("concerns").dataset.key = key;
  $("concerns").replaceChildren(...list.map((c) => el("li", { class: c.level }, c.text)));
  $("concerns").hidden = !list.length;
}
function tick() {
  if (!answer) return;
  document.querySelectorAll("[data-since]").forEach(tickAge);
  document.querySelectorAll("[data-group]").forEach((section) => {
    const reading = answer.groups[section.dataset.group], age = reading.age_seconds === null ? null : reading.age_seconds + elapsed();
    const old = age !== null && (reading.stale || elapsed() > 3 * (POLL_MS / 1000));
    section.classList.toggle("stale", old);
    let label = section.querySelector(".age");
    if (!label) section.querySelector("h2").append((label = el("span", { class: "age" })));
    label.textContent = age === null ? "" : old ? `old: ${span(age)}` : `${span(age)} ago`;
  });
}

function complain(text, href) {
  $("banner").hidden = !text;
  $("banner").replaceChildren(text, href ? link(" Log in again.", href, true) : "");
}
async function poll() {
  try {
    const response = await fetch("api/figures", { signal: AbortSignal.timeout(ANSWER_MS), headers: { accept: "application/json" } });
    if (response.status === 401 || response.status === 403) return complain("You are no longer logged in to Airflow.", `${AIRFLOW}/`);
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    answer = await response.json();
    answeredAt = performance.now();
    complain("");
    draw();
  } catch (error) {
    console.error(error);
    complain(`The figures do not come: ${error.name === "TimeoutError" ? "Airflow's API server does not answer" : error.message}.`);
  } finally {
    const waits = answer && Object.values(answer.groups).some((group) => !group.value && !group.error);
    setTimeout(poll, waits ? FIRST_POLL_MS : POLL_MS);
  }
}

layFlow();
setInterval(tick, 1000);
poll();
