"""The page as a person sees it: a viewer logs in to Airflow with a browser and opens "Lakehouse"."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, expect

from clicklake.stack import airflow
from tests.browser import launched
from tests.stack import Stack
from tests.waiting import patient

FIGURE_MS = patient(60) * 1000
"""Trino's first answer may take this long on a busy machine."""
NUMBER = re.compile(r"^[\d,]+$")
PANELS = ["freshness", "watch", "rejected", "tables", "quality", "commits", "dags"]
STATIONS = ["producer", "kafka", "flink", "iceberg", "trino", "watch", "quality", "maintenance"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window. Where CI runs it must be there."""
    chromium = shutil.which("chromium")
    if chromium is None:
        without_browser()
    with launched(chromium) as browser:
        yield browser


def without_browser() -> NoReturn:
    reason = "there is no chromium on the PATH; apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that has seen nothing yet."""
    made = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    made.set_default_timeout(FIGURE_MS)
    yield made
    made.close()


@pytest.fixture
def page(stack: Stack, context: BrowserContext) -> Page:
    """Airflow, a viewer having logged in by the form."""
    opened = context.new_page()
    opened.goto(stack.settings.airflow_url)
    opened.locator("input[name=username]").fill("viewer")
    opened.locator("input[name=password]").fill(airflow.password(stack.settings, "viewer"))
    opened.keyboard.press("Enter")
    expect(opened.get_by_role("link", name="Lakehouse", exact=True)).to_be_visible(timeout=FIGURE_MS)
    return opened


def opened(page: Page) -> FrameLocator:
    """The page behind the entry of the nav, all its figures there."""
    page.get_by_role("link", name="Lakehouse", exact=True).click()
    frame = page.frame_locator("iframe[title=Lakehouse]")
    for name in STATIONS:
        expect(frame.locator(f"#station-{name} .figures")).not_to_contain_text("asking", timeout=FIGURE_MS)
    for name in PANELS:
        expect(frame.locator(f"[data-group={name}] .body")).not_to_contain_text("asking", timeout=FIGURE_MS)
    return frame


def test_a_viewer_sees_live_figures(stack: Stack, page: Page, tmp_path: Path) -> None:
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    outside: list[str] = []
    page.on("request", lambda r: outside.append(r.url) if not r.url.startswith(stack.settings.airflow_url) else None)

    frame = opened(page)
    kafka = frame.locator("#station-kafka .big")
    expect(kafka).to_have_text(NUMBER)
    expect(frame.locator("#station-flink .big")).to_have_text("RUNNING")
    expect(frame.locator("#station-iceberg .big")).to_have_text(NUMBER)
    expect(frame.locator("[data-group=tables] tbody tr")).not_to_have_count(0)
    expect(frame.locator("#banner")).to_be_hidden()

    before = kafka.text_content() or ""
    with stack.producing("--rate", "200"):
        expect(kafka).not_to_have_text(before, timeout=FIGURE_MS)
        expect(frame.locator("#station-producer .big")).to_have_text(
            re.compile(r"^[1-9][\d.,]* /s$"), timeout=FIGURE_MS
        )
        expect(frame.locator("#station-trino .big")).to_have_text(re.compile(r"^[\d.]+ (s|min)$"), timeout=FIGURE_MS)
        assert page.screenshot(path=tmp_path / "light.png")
    assert (wrong, outside) == ([], [])


def test_nothing_is_cut_off_on_a_small_screen(page: Page) -> None:
    frame = opened(page)
    for width in (1280, 1024, 800):
        page.set_viewport_size({"width": width, "height": 800})
        assert frame.locator("body").evaluate("body => body.scrollWidth <= innerWidth"), width


def test_it_is_dark_when_airflow_is(page: Page, tmp_path: Path) -> None:
    frame = opened(page)
    expect(frame.locator("html")).to_have_attribute("data-theme", "light")
    page.evaluate("localStorage.setItem('theme', 'dark')")
    expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.screenshot(path=tmp_path / "dark.png")


def test_its_links_lead_out_of_the_frame(stack: Stack, context: BrowserContext, page: Page) -> None:
    frame = opened(page)
    with context.expect_page() as flink:
        frame.get_by_role("link", name="Flink").click()
    assert flink.value.url.startswith(stack.settings.flink_url)
    frame.locator("[data-group=dags]").get_by_role("link", name="data_quality").click()
    page.wait_for_url(re.compile(r"/dags/data_quality"))


def test_it_says_when_one_is_logged_out(context: BrowserContext, page: Page) -> None:
    frame = opened(page)
    context.clear_cookies()
    expect(frame.locator("#banner")).to_contain_text("no longer logged in", timeout=FIGURE_MS)
