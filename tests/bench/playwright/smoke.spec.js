// The five checks of config/local.yaml, assertion by assertion, as one would write them with Playwright Test alone.
const { test, expect } = require("@playwright/test");

const SERVICES = ["database", "redis", "ml_service"];
const FRESH_MS = 5 * 60 * 1000;
const PROMPT = "Explain what a smoke test is.";
const { BENCH_USER: USER, BENCH_PASSWORD: PASSWORD } = process.env;

async function timed(ask, withinMs) {
  const begun = performance.now();
  const answer = await ask();
  expect(performance.now() - begun).toBeLessThan(withinMs);
  return answer;
}

function watch(page) {
  const seen = { console: [], exceptions: [], failed: [] };
  page.on("console", (message) => message.type() === "error" && seen.console.push(message.text()));
  page.on("pageerror", (error) => seen.exceptions.push(error.message));
  // a call that the page itself leaves behind, as it goes to the next one, is no failure
  const left = (request) => request.failure()?.errorText === "net::ERR_ABORTED";
  page.on("requestfailed", (request) => left(request) || seen.failed.push(request.url()));
  page.on("response", (response) => response.status() >= 400 && seen.failed.push(response.url()));
  return () => expect(seen).toEqual({ console: [], exceptions: [], failed: [] });
}

test("health", async ({ request }) => {
  for (const path of ["/health", "/api/v1/health", "/api/v1/status"]) {
    const answer = await timed(() => request.get(path), 100);
    expect(answer.status()).toBe(200);
    expect(answer.headers()["content-type"]).toContain("application/json");
    const body = await answer.json();
    expect(body.status).toBe("healthy");
    for (const service of SERVICES) expect(body.services[service]).toBe("healthy");
    const now = new Date(answer.headers()["date"]).getTime();
    expect(Math.abs(now - new Date(body.timestamp).getTime())).toBeLessThan(FRESH_MS);
    if (path === "/api/v1/status") {
      const timing = /(?:^|,)\s*db\b[^,]*?;\s*dur=([\d.]+)/.exec(answer.headers()["server-timing"]);
      expect(Math.max(Number(timing[1]), body.metrics.database_query_ms)).toBeLessThanOrEqual(500);
      expect(body.metrics.cache_hit_rate).toBeGreaterThanOrEqual(0.5);
      expect(body.metrics.error_rate).toBeLessThanOrEqual(0.05);
    }
  }
});

test("homepage", async ({ page }) => {
  const clean = watch(page);
  await page.goto("/");
  for (const element of [
    page.getByRole("navigation"),
    page.getByRole("heading"),
    page.getByTestId("prompt-input"),
    page.getByTestId("enhance-button"),
    page.getByRole("contentinfo"),
  ]) {
    await expect(element.first()).toBeVisible();
  }
  const loadMs = await page.evaluate(() => performance.getEntriesByType("navigation")[0].loadEventEnd);
  expect(loadMs).toBeLessThan(3000);
  clean();
});

test("enhancement", async ({ request }) => {
  const answer = await request.post("/api/v1/enhance", { data: { text: PROMPT } });
  expect(answer.status()).toBe(200);
  const body = await answer.json();
  expect(body.id).toBe("");
  expect(body.enhanced_text.trim()).not.toBe("");
  expect(body.enhanced_text.trim()).not.toBe(PROMPT);
  expect(body.enhanced).toBe(true);
});

test("login", async ({ request, page }) => {
  const login = await request.post("/api/v1/auth/login", { data: { email_or_username: USER, password: PASSWORD } });
  expect(login.status()).toBe(200);
  const { access_token, refresh_token } = await login.json();
  const headers = { Authorization: `Bearer ${access_token}` };

  const total = async () => {
    const answer = await request.get("/api/v1/history", { headers });
    expect(answer.status()).toBe(200);
    return (await answer.json()).pagination.total_records;
  };
  const before = await total();
  const profile = await request.get("/api/v1/auth/profile", { headers });
  expect(profile.status()).toBe(200);
  expect((await profile.json()).email).toBe(USER);
  expect(await total()).toBe(before);

  const logout = await request.post("/api/v1/auth/logout", { headers, data: { refresh_token } });
  expect(logout.status()).toBe(200);
  expect((await request.get("/api/v1/auth/profile", { headers })).status()).toBe(401);

  const clean = watch(page);
  await page.goto("/login");
  await page.getByTestId("login-email").fill(USER);
  await page.getByTestId("login-password").fill(PASSWORD);
  await page.getByTestId("login-submit").click();
  await page.waitForURL("**/dashboard");
  await expect(page.getByTestId("logout-button")).toBeVisible();
  await page.getByTestId("logout-button").click();
  await page.waitForURL((url) => url.pathname === "/");
  clean();
});

test("api", async ({ request }) => {
  const remaining = [];
  for (let call = 0; call < 2; call += 1) {
    const answer = await timed(() => request.get("/api/v1/test"), 200);
    expect(answer.status()).toBe(200);
    expect((await answer.json()).status).toBe("ok");
    const headers = answer.headers();
    for (const name of ["limit", "remaining", "reset"]) expect(headers[`x-ratelimit-${name}`]).toMatch(/^\d+$/);
    remaining.push({ left: Number(headers["x-ratelimit-remaining"]), reset: Number(headers["x-ratelimit-reset"]) });
  }
  const [first, second] = remaining;
  expect(second.left < first.left || second.reset > first.reset).toBe(true);
});
