"""Measures the playground in a headless Chromium: a click to its mask, first paint, script size.

    python -m benchmarks.playground http://127.0.0.1:8080 --clicks 50

The server must run; the sample picture is used. Chromium must be installed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import statistics
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

STATIC = Path(__file__).resolve().parents[1] / "gateway" / "playground" / "static"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_CLICK = """([x, y]) => new Promise((resolve) => {
  const host = document.querySelector("#stage");
  const stage = Konva.stages[0];
  const { left, top } = host.getBoundingClientRect();
  const at = {
    clientX: left + stage.x() + x * stage.scaleX(), clientY: top + stage.y() + y * stage.scaleX(),
    pointerId: 1, bubbles: true, pointerType: "mouse", shiftKey: true,
  };
  const started = performance.now();
  new MutationObserver((_, observer) => {
    observer.disconnect();
    requestAnimationFrame(() => resolve(performance.now() - started));
  }).observe(host, { attributeFilter: ["data-shown-mask"] });
  host.setPointerCapture = () => {};
  host.dispatchEvent(new PointerEvent("pointerdown", at));
  host.dispatchEvent(new PointerEvent("pointerup", at));
})"""
_POINTS = ((365, 426), (420, 110), (300, 215), (435, 235), (70, 440))
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--clicks", type=int, default=50)
    parser.add_argument("--visits", type=int, default=7)
    wanted = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        paints = [_first_paint(browser, wanted.url) for _ in range(wanted.visits)]
        clicks = _clicks(browser, wanted.url, wanted.clicks)
        browser.close()
    print(
        json.dumps(
            {
                "click_to_mask_ms": _summary(clicks),
                "first_contentful_paint_ms": _summary(paints),
                "script_bytes_gzip": _script_bytes(),
            },
            indent=2,
        )
    )


def _first_paint(browser: Browser, url: str) -> float:
    """Of a visitor with an empty cache."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(url)
    while (painted := page.evaluate(_PAINT)) is None:
        page.wait_for_timeout(20)
    context.close()
    return float(painted)


def _clicks(browser: Browser, url: str, count: int) -> list[float]:
    """From the pointer's event to the frame after the overlay was drawn; the picture is cached."""
    page: Page = browser.new_page()
    page.goto(url)
    page.get_by_role("button", name="Use the sample picture").click()
    page.wait_for_selector("#welcome", state="hidden")
    page.evaluate(_CLICK, list(_POINTS[0]))
    times = []
    for index in range(count):
        page.get_by_role("button", name="Clear").click()
        page.wait_for_selector("#stage[data-shown-mask='']")
        times.append(float(page.evaluate(_CLICK, list(_POINTS[index % len(_POINTS)]))))
    return times


def _summary(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "p50": round(statistics.median(ordered), 1),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 1),
        "n": len(ordered),
    }


def _script_bytes() -> int:
    scripts = [*STATIC.glob("js/*.js"), *STATIC.glob("vendor/*.js")]
    return sum(len(gzip.compress(script.read_bytes())) for script in scripts)


if __name__ == "__main__":
    main()
