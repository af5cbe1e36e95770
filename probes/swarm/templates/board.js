// The board, live. Whatever comes from a target or a worker becomes text and never markup: textContent only.
"use strict";

const EVERY_MS = 2000;
const SOON_MS = 500; // while a run is under way
const BEGINS_MS = 1500; // so long a run that was asked for may take to show
const WORST = ["failed", "throttled", "error", "degraded", "no data", "skipped", "passed"];
const REJECTED = {
  mac: "without our key",
  session: "of a session that we do not know",
  repeated: "a message that came before",
  direction: "a message of our own",
  malformed: "not readable",
};
const byId = (id) => document.getElementById(id);
const css = (outcome) => (outcome === "no data" ? "none" : outcome);

let asked = -Infinity; // when somebody here last asked for a run
let seen = null; // the board as it was last shown
let next = 0; // the timer of the next look

function write(element, text) {
  if (element.textContent !== text) element.textContent = text; // what has not changed is not read out again
}

function setState(element, outcome) {
  const own = [...element.classList].filter((name) => !name.startsWith("is-"));
  element.className = [...own, `is-${css(outcome)}`].join(" ");
  element.querySelector(".icon use")?.setAttribute("href", `#i-${css(outcome)}`);
}

function made(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
}

function copyOf(id) {
  return byId(id).content.firstElementChild.cloneNode(true);
}

// The children of `parent` that stand for `items`, one each, made once and then only changed.
function keep(parent, items, make, change) {
  items.forEach((item, index) => {
    const element = parent.children[index] ?? parent.appendChild(make(item));
    change(element, item);
  });
  while (parent.children.length > items.length) parent.lastElementChild.remove();
}

const times = (count) => (count === 1 ? "once" : `${count} times`);
const took = (value) => (value < 0.0995 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`);

function span(value) {
  if (value < 90) return `${Math.round(value)} s`;
  const minutes = Math.round(value / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 10 && minutes % 60 ? `${hours} h ${minutes % 60} min` : `${Math.round(minutes / 60)} h`;
}

const TIME = { hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
const clock = (iso) => new Date(iso).toLocaleTimeString("en-GB", { ...TIME, second: "2-digit" });

function showRun(element, run) {
  const lasted = run.duration_s ? `, took ${took(run.duration_s)}` : "";
  write(element, `${clock(run.at)} ${run.outcome}${lasted}${run.detail && `: ${run.detail}`}`);
}

function showRuns(element, cell) {
  const marks = element.querySelector(".runs");
  marks.hidden = cell.runs.length === 0;
  keep(marks, cell.runs, () => made("li"), (mark, run) => setState(mark, run.outcome));
  const told = element.querySelector("details");
  told.hidden = marks.hidden;
  write(told.firstElementChild, cell.runs.length > 1 ? `Last ${cell.runs.length} runs` : "Only run so far");
  keep(told.lastElementChild, cell.runs.toReversed(), () => made("li"), showRun);
}

// When the last verdict came; and, where nothing has come since but `no data`, when that was.
function whenOf(cell) {
  const last = cell.runs.at(-1);
  if (!last && cell.age_s === null) return cell.doing ? "first run" : "not run yet";
  const missed = last?.outcome === "no data" ? `no data at ${clock(last.at)}; ` : "";
  if (cell.age_s === null) return `${missed}no verdict yet`;
  const verdict = cell.runs.findLast((run) => run.outcome !== "no data"); // older ones are not kept
  const at = verdict ? `${clock(verdict.at)}, ` : "";
  const lasted = cell.duration_s ? `, took ${took(cell.duration_s)}` : "";
  const what = missed ? `last verdict ${verdict ? `${verdict.outcome} ` : ""}` : "";
  return `${missed}${what}${at}${span(cell.age_s)} ago${lasted}`;
}

function showCell(element, cell) {
  setState(element, cell.outcome);
  write(element.querySelector("h3"), cell.check);
  write(element.querySelector(".doing"), cell.doing);
  write(element.querySelector(".badge"), cell.outcome);
  element.querySelector(".badge").hidden = Boolean(cell.doing) && cell.runs.length === 0;
  const last = cell.runs.at(-1);
  write(element.querySelector(".when"), whenOf(cell));
  showRuns(element, cell);
  const reason = cell.outcome === "passed" || cell.runs.length === 0 ? "" : cell.reason;
  write(element.querySelector(".reason"), reason);
}

function newRegion(region) {
  const element = made("section", "", "region");
  element.append(made("h2"), made("div", "", "cells"));
  element.setAttribute("aria-label", `Region ${region.name}`);
  return element;
}

function showRegion(element, region) {
  const claimed = region.name !== "local" && region.cells.some((cell) => cell.age_s !== null && !cell.verified);
  write(element.firstElementChild, `Region ${region.name}${claimed ? " (unverified)" : ""}`);
  keep(element.lastElementChild, region.cells, () => copyOf("cell"), showCell);
}

function showLimit(element, limit) {
  const [name, used] = element.querySelectorAll("b, span");
  const spaced = limit.ceiling < 1;
  const ceiling = spaced ? `1 every ${+(limit.window_s / limit.ceiling).toPrecision(3)} s` : `${limit.ceiling} per ${limit.window_s} s`;
  const share = Math.min(100, (100 * limit.peak) / Math.max(limit.ceiling, 1));
  write(name, limit.name);
  write(used, `${limit.peak}, ceiling ${ceiling}`);
  element.querySelector(".fill").setAttribute("width", share);
  write(
    element.querySelector(".small"),
    `${Math.round(share)} % of the ceiling, ${limit.peak_percent.toFixed(1)} % of the limit of ${limit.limit} per ${limit.window_s} s`,
  );
}

function until(pause) {
  if (pause.remaining_s === null) return "until somebody resumes it";
  const day = pause.remaining_s > 64800 ? { weekday: "short" } : {};
  const ends = new Date(Date.now() + 1000 * pause.remaining_s).toLocaleTimeString("en-GB", { ...day, ...TIME });
  return `until ${ends}, another ${span(pause.remaining_s)}`;
}

function showPauses(board) {
  const byHand = board.pauses.some((pause) => pause.by === "hand");
  const form = byId("pause");
  form.action = byHand ? "/smoke/resume" : "/smoke/pause";
  form.querySelector("label").hidden = byHand;
  write(form.querySelector("button"), byHand ? "Resume probing" : "Pause probing"); // one button, so that it keeps the focus
  const texts = board.pauses.map((pause) => `Paused by ${pause.by === "hand" ? "hand" : "the target"} ${until(pause)}: ${pause.why}.`);
  keep(byId("pauses"), texts, () => made("li"), write);
}

function showWorkers(board) {
  if (!byId("workers")) return;
  const workers = board.workers.map((each) => `${each.client} in ${each.region}${each.verified || each.region === "local" ? "" : " (unverified)"}, heard ${span(each.heard_s)} ago`);
  keep(byId("workers"), workers.length ? workers : ["No worker has joined."], () => made("li"), write);
  const rejected = Object.entries(board.rejected).flatMap(([client, reasons]) =>
    Object.entries(reasons).map(([reason, count]) => `${client.slice(0, 60)}: ${REJECTED[reason] ?? reason}, ${times(count)}`),
  );
  keep(byId("rejected"), rejected.length ? rejected : ["None."], () => made("li"), write);
}

function headlineOf(board) {
  const parts = WORST.map((outcome) => {
    const names = board.cells.filter((cell) => cell.outcome === outcome).map((cell) => cell.check);
    if (names.length === board.cells.length) return `All ${names.length} checks: ${outcome}`;
    return outcome !== "passed" && names.length <= 3 ? names.map((name) => `${name}: ${outcome}`).join(", ") : `${names.length} ${outcome}`;
  });
  const found = parts.filter((part) => part && !part.startsWith("0 "));
  return [...found, board.trouble].filter(Boolean).join("; ");
}

function doingOf(board, cell) {
  const found = board.under_way.find((each) => each.region === cell.region && each.check === cell.check);
  if (found) return found.runs ? "running…" : "waiting…";
  return "";
}

// Whether a run is under way, where one can be asked for: a master's ticks come and go by themselves.
function showStart(board) {
  const button = document.querySelector("#start button");
  if (!button) return false;
  const running = board.under_way.length > 0 || performance.now() - asked < BEGINS_MS;
  button.setAttribute("aria-disabled", String(running || board.paused !== "")); // and not `disabled`, which would take the focus away
  write(button, running ? "Running…" : "Run all checks now");
  return running;
}

function titleOf(board, running, worst) {
  if (board.paused) return "Paused";
  return running ? "Running…" : worst[0].toUpperCase() + worst.slice(1);
}

function show(board) {
  for (const cell of board.cells) cell.doing = doingOf(board, cell);
  const running = showStart(board);
  const found = board.cells.map((cell) => cell.outcome);
  const worst = WORST.find((outcome) => found.includes(outcome)) ?? "no data";
  const names = [...new Set(board.cells.map((cell) => cell.region))];
  setState(byId("head"), board.paused || running ? "skipped" : worst);
  write(byId("title"), titleOf(board, running, worst));
  write(byId("headline"), `${running ? "Last known: " : ""}${headlineOf(board)}`);
  write(byId("under-way"), board.ticks_under_way ? `, ${board.ticks_under_way} under way` : ""); // too often to be read out
  const regions = names.map((name) => ({ name, cells: board.cells.filter((cell) => cell.region === name) }));
  keep(byId("regions"), regions, newRegion, showRegion);
  keep(byId("limits"), board.limits, () => copyOf("limit"), showLimit);
  showPauses(board);
  showWorkers(board);
  return running;
}

async function look() {
  clearTimeout(next);
  let running = false;
  try {
    const answer = await fetch("/smoke/board.json", { redirect: "manual", cache: "no-store" });
    if (answer.type === "opaqueredirect") return location.reload(); // logged out: the server shows the way
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    seen = await answer.json();
    running = show(seen);
  } catch {
    write(byId("headline"), "No connection to smokeprobe: what is shown here is old.");
  }
  clearTimeout(next); // of another look meanwhile
  if (!document.hidden) next = setTimeout(look, running ? SOON_MS : EVERY_MS);
}

async function send(form) {
  if (form.id === "start") {
    if (form.querySelector("button").getAttribute("aria-disabled") === "true") return;
    asked = performance.now();
    if (seen) show(seen); // at once, and not when the server has answered
  }
  const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "manual" });
  if (answer.type === "opaqueredirect") return look();
  asked = -Infinity;
  await look();
  write(byId("headline"), (await answer.text()).slice(0, 300));
}

document.addEventListener("submit", (event) => {
  if (event.target.action.endsWith("/logout")) return;
  event.preventDefault();
  send(event.target).catch(look);
});

document.addEventListener("visibilitychange", () => document.hidden || look());
look();
