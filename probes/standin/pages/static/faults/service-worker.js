"use strict";

self.addEventListener("install", (event) => {
  event.waitUntil(fetch("/api/v1/prompts?via=service-worker", { method: "POST", body: "{}" }).catch(() => {}));
});
