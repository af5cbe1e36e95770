"""Load time and Web Vitals of a page, asked of the browser itself."""

from __future__ import annotations

import asyncio
import math
from dataclasses import fields
from typing import Any

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page

from probes.clients.page_result import Timing

QUIET_MS = 100
"""How long after the load event nothing may be painted or shifted anew: six frames of 60 Hz, more than it takes
Chromium to report a frame after showing it."""

SETTLE_MS = 300
"""When to stop waiting for that: a page that never comes to rest must cost no more than a tenth of its 3 s."""

_SCRIPT = """
([quietMs, settleMs]) => new Promise((resolve) => {
  const started = performance.now();
  let [lcp, cls, windowSum, windowStart, lastShift] = [null, 0, 0, 0, -Infinity];
  const navigation = performance.getEntriesByType('navigation')[0];
  let changed = navigation.loadEventEnd;
  const observe = (type, take) => new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) { take(entry); changed = Math.max(changed, entry.startTime); }
  }).observe({ type, buffered: true });
  observe('largest-contentful-paint', (entry) => { lcp = entry.startTime; });
  observe('layout-shift', (entry) => {
    if (entry.hadRecentInput) return;
    const sameWindow = entry.startTime - lastShift < 1000 && entry.startTime - windowStart < 5000;
    if (!sameWindow) [windowSum, windowStart] = [0, entry.startTime];
    lastShift = entry.startTime;
    windowSum += entry.value;
    cls = Math.max(cls, windowSum);
  });
  const look = () => {
    const now = performance.now();
    const fcp = performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null;
    const moving = fcp === null || lcp === null || now - changed < quietMs;
    if (moving && now - started < settleMs) { setTimeout(look, 10); return; }
    resolve({ load_ms: navigation.loadEventEnd || null, ttfb_ms: navigation.responseStart || null, fcp_ms: fcp,
              lcp_ms: lcp, cls });
  };
  look();
})
"""


async def measure(page: Page, timeout_s: float) -> Timing:
    """The page's timing, once it has come to rest; all None where the page does not answer in time."""
    try:
        async with asyncio.timeout(timeout_s):
            found = await page.evaluate(_SCRIPT, [QUIET_MS, SETTLE_MS])
    except (PlaywrightError, TimeoutError):
        return Timing()  # it went away or hangs; the journey's actions say so
    return Timing(**{each.name: _number(found, each.name) for each in fields(Timing)})


def _number(found: Any, name: str) -> float | None:
    """What a page's own script may have put in place of a time is none."""
    value = found.get(name) if isinstance(found, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None
