"use strict";

const form = document.getElementById("login");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("/api/v1/auth/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      email_or_username: document.getElementById("email").value,
      password: document.getElementById("password").value,
      totp_code: document.getElementById("totp")?.value,
    }),
  });
  if (answer.ok) {
    if (form.dataset.next) location.assign(form.dataset.next);
    return;
  }
  const { error } = await answer.json().catch(() => ({ error: "try again later" }));
  document.getElementById("problem").textContent = `That did not work: ${error}.`;
});
