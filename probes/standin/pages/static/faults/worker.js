"use strict";

fetch("/api/v1/prompts?via=worker", { method: "POST", body: "{}" }).catch(() => {});
