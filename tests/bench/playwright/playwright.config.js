// The peer of a full run: the same Chromium with the same sandbox, one worker, no retries, nothing recorded.
const { defineConfig } = require("@playwright/test");

module.exports = defineConfig({
  testDir: ".",
  outputDir: process.env.BENCH_OUTPUT,
  workers: 1,
  retries: 0,
  reporter: "list",
  timeout: 30_000,
  use: {
    baseURL: process.env.BENCH_TARGET_URL,
    testIdAttribute: "data-testid",
    launchOptions: {
      executablePath: process.env.BENCH_CHROMIUM,
      chromiumSandbox: process.env.BENCH_SANDBOX === "1",
    },
  },
});
