// The board, live. Whatever comes from a target or a worker becomes text and never markup: textContent only.
"use strict";

const EVERY_MS = 2000;
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
  if (value < 5400) return `${Math.round(value / 60)} min`;
  return `${Math.round(value / 3600)} h`;
}

const clock = (iso) => new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

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

function showCell(element, cell) {
  setState(element, cell.outcome);
  write(element.querySelector("h3"), cell.check);
  write(element.querySelector(".badge"), cell.outcome);
  const last = cell.runs.at(-1);
  const lasted = cell.duration_s ? `, took ${took(cell.duration_s)}` : "";
  const when = last && cell.age_s !== null ? `${clock(last.at)}, ${span(cell.age_s)} ago${lasted}` : "not run yet";
  write(element.querySelector(".when"), when);
  showRuns(element, cell);
  const reason = cell.outcome === "passed" || !last ? "" : cell.reason;
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
  const ends = new Date(Date.now() + 1000 * pause.remaining_s).toLocaleTimeString([], { ...day, hour: "2-digit", minute: "2-digit" });
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

function show(board) {
  const found = board.cells.map((cell) => cell.outcome);
  const worst = WORST.find((outcome) => found.includes(outcome)) ?? "no data";
  const names = [...new Set(board.cells.map((cell) => cell.region))];
  setState(byId("head"), board.paused ? "skipped" : worst);
  write(byId("title"), board.paused ? "Paused" : worst[0].toUpperCase() + worst.slice(1));
  write(byId("headline"), headlineOf(board));
  write(byId("under-way"), board.ticks_under_way ? `, ${board.ticks_under_way} under way` : ""); // too often to be read out
  const regions = names.map((name) => ({ name, cells: board.cells.filter((cell) => cell.region === name) }));
  keep(byId("regions"), regions, newRegion, showRegion);
  keep(byId("limits"), board.limits, () => copyOf("limit"), showLimit);
  showPauses(board);
  showWorkers(board);
}

async function look() {
  try {
    const answer = await fetch("/smoke/board.json", { redirect: "manual", cache: "no-store" });
    if (answer.type === "opaqueredirect") return location.reload(); // logged out: the server shows the way
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    show(await answer.json());
  } catch {
    write(byId("headline"), "No connection to smokeprobe: what is shown here is old.");
  }
}

async function send(form) {
  const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "manual" });
  if (answer.type === "opaqueredirect") return look();
  write(byId("headline"), (await answer.text()).slice(0, 300));
}

document.addEventListener("submit", (event) => {
  if (event.target.action.endsWith("/logout")) return;
  event.preventDefault();
  send(event.target).catch(look);
});

document.addEventListener("visibilitychange", () => document.hidden || look());
setInterval(() => document.hidden || look(), EVERY_MS);
look();
