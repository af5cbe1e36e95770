// Every way in which a page can write, each told by its query: /api/v1/prompts?via=NAME
"use strict";

const target = (via) => `/api/v1/prompts?via=${via}`;

function submitForm(via, frame) {
  const form = document.createElement("form");
  form.method = "post";
  form.action = target(via);
  form.target = frame;
  form.hidden = true;
  document.body.append(form);
  form.submit();
}

function hiddenFrame(name) {
  const frame = document.createElement("iframe");
  frame.name = name;
  frame.hidden = true;
  document.body.append(frame);
}

fetch(target("fetch"), { method: "POST", body: "{}" }).catch(() => {});
fetch(target("keepalive"), { method: "POST", body: "{}", keepalive: true }).catch(() => {});
fetch(target("put"), { method: "PUT", body: "{}" }).catch(() => {});
fetch(target("delete"), { method: "DELETE" }).catch(() => {});

const xhr = new XMLHttpRequest();
xhr.open("POST", target("xhr"));
xhr.send("{}");

hiddenFrame("standin-frame");
submitForm("form", "standin-frame");
navigator.sendBeacon(target("beacon"), "{}");

const ping = document.createElement("a");
ping.href = "#ping";
ping.ping = target("ping");
ping.hidden = true;
document.body.append(ping);
ping.click();

const worker = new Worker("/static/faults/worker.js");
worker.addEventListener("error", (event) => event.preventDefault());
const shared = new SharedWorker("/static/faults/shared-worker.js");
shared.addEventListener("error", (event) => event.preventDefault());

window.open("about:blank", "standin-popup", "width=200,height=100");
submitForm("popup", "standin-popup");

const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/ws`);
socket.addEventListener("open", () => socket.send("write"));
