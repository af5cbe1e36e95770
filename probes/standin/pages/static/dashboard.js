"use strict";

// The session's tokens are in cookies that scripts cannot read; the browser sends them along.
document.getElementById("logout")?.addEventListener("click", async () => {
  const answer = await fetch("/api/v1/auth/logout", { method: "POST" });
  if (answer.ok) location.assign("/");
  else document.getElementById("problem").textContent = "The log-out did not work.";
});
