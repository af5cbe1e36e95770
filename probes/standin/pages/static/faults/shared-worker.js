"use strict";

fetch("/api/v1/prompts?via=shared-worker", { method: "POST", body: "{}" }).catch(() => {});
