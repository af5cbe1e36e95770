"use strict";

async function showTechniques() {
  const answer = await fetch("/api/v1/techniques");
  if (!answer.ok) return;
  const { techniques } = await answer.json();
  const items = techniques.map(({ name }) => {
    const item = document.createElement("li");
    item.textContent = name;
    return item;
  });
  document.getElementById("techniques").replaceChildren(...items);
}

async function enhance() {
  const shown = document.getElementById("enhanced");
  const answer = await fetch("/api/v1/enhance", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ text: document.getElementById("prompt").value }),
  });
  const body = await answer.json();
  shown.textContent = answer.ok ? body.enhanced_text : body.error;
  shown.hidden = false;
}

document.getElementById("enhance")?.addEventListener("click", enhance);
navigator.sendBeacon("/analytics/collect", JSON.stringify({ event: "page_view", path: location.pathname }));
showTechniques().catch(() => {}); // the page is whole without them
