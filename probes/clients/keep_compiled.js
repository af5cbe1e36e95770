// Playwright's driver is killed, never asked to end, so what Node has compiled of it is kept while it runs.
setTimeout(() => require("node:module").flushCompileCache?.(), 1000).unref();
