"""The view in a browser: found, filtered, heard, compared; on a desk, on a phone, in the dark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Chromium, chromium
from in_process import InProcess
from viewed_runs import HOSTILE_ID, SECONDS, finish

from raypipe.labels import LabelSet
from raypipe.runtime.finish.report import write_report
from raypipe.store.location import Location
from raypipe.store.objects import object_bytes
from raypipe.store.run_record import read_record
from raypipe.store.schemas import METRICS


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chromium]:
    folder = tmp_path / "browser"
    folder.mkdir()
    with chromium(folder) as running:
        yield running


def listed(browser: Chromium) -> list[str]:
    """Utterance ids of the list that is shown."""
    script = "[...document.querySelectorAll('table.list a.id')].map(link => link.innerText)"
    found: list[str] = browser.evaluate(script)
    return found


def fill(browser: Chromium, name: str, value: str) -> None:
    field = f"document.querySelector('form :is(input,select)[name={name}]:not([type=hidden])')"
    browser.evaluate(f"{field}.value = {json.dumps(value)}")


def submit(browser: Chromium) -> None:
    browser.evaluate("window.isOld = true")
    browser.click("form button")
    browser.wait("window.isOld === undefined && document.readyState === 'complete'")


def follow(browser: Chromium, selector: str) -> None:
    browser.evaluate("window.isOld = true")
    browser.click(selector)
    browser.wait("window.isOld === undefined && document.readyState === 'complete'")


def hears(browser: Chromium, selector: str = "audio") -> float:
    """Play a recording to its end, as after a click; its length in seconds."""
    audio = f"document.querySelector({json.dumps(selector)})"
    browser.evaluate(f"void {audio}.play()")
    browser.wait(f"{audio}.currentTime > 0.2 && !{audio}.error")
    browser.wait(f"{audio}.ended")
    return float(browser.evaluate(f"{audio}.duration"))


def sideways(browser: Chromium) -> int:
    """CSS pixels by which the page is wider than the screen, without its scroll bar."""
    return int(browser.evaluate("(e => e.scrollWidth - e.clientWidth)(document.documentElement)"))


BROKEN_WORDS = r"""
(() => {
  const broken = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const word = /(?<![\p{L}\p{N}_])[\p{L}_]{2,24}(?![\p{L}\p{N}_])/gu;
  while (walk.nextNode()) {
    const node = walk.currentNode;
    if (node.parentElement.closest("svg, pre, select, li, .id, .lines, .said, .typed")) continue;
    for (const match of node.data.matchAll(word)) {
      const range = document.createRange();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
      if (lines.size > 1) broken.push(match[0]);
    }
  }
  return broken;
})()
"""
"""Words outside quoted text that stand on two lines."""


def test_a_run_is_searched_filtered_sorted_and_heard(
    run: Path, browser: Chromium, serve: Any
) -> None:
    browser.show(1200, 900)
    with serve(run) as running:
        browser.visit(running.address)
        assert browser.evaluate("location.search") == "", "the token is not left in the address"
        assert len(listed(browser)) == 9
        fill(browser, "column", "facts.gender")
        fill(browser, "value", "female")
        submit(browser)
        assert sorted(listed(browser)) == ["u1", "u3", "u5", "u7"]
        fill(browser, "column", "facts.age")
        fill(browser, "is", "above")
        fill(browser, "value", "30")
        fill(browser, "sort", "utterance_id")
        submit(browser)
        assert listed(browser) == ["u3", "u5", "u7"]
        assert browser.text(".chips").replace("\n", " ").count("facts.") == 2
        address = browser.evaluate("location.href")
        follow(browser, ".chips a")
        assert len(listed(browser)) > 3
        browser.visit(address)
        assert listed(browser) == ["u3", "u5", "u7"], "the address holds all of it"

        follow(browser, "table.list tr:nth-child(2) a.id")
        assert browser.text("h1") == "u5"
        assert hears(browser) == pytest.approx(SECONDS, abs=0.05)
        browser.evaluate("document.querySelector('audio').currentTime = 1.0")
        browser.wait("document.querySelector('audio').currentTime === 1.0")
        assert browser.text("blockquote") == "Sentence 5, said TWICE."
        assert browser.evaluate("document.querySelectorAll('.curve polyline').length") > 0
        follow(browser, "a[rel=next]")
        assert browser.text("h1") == "u7"
        assert browser.evaluate("document.querySelector('a[rel=next]')") is None
        follow(browser, "a[rel=prev]")
        follow(browser, "a[rel=prev]")
        assert browser.text("h1") == "u3"
        follow(browser, "header nav a")
        assert listed(browser) == ["u3", "u5", "u7"]
        assert browser.complaints == []
        here = f"http://127.0.0.1:{running.port}/"
        assert all(url.startswith(here) for url in browser.requests)


def test_hostile_text_does_nothing(run: Path, browser: Chromium, serve: Any) -> None:
    with serve(run) as running:
        browser.visit(running.address)
        place = listed(browser).index(HOSTILE_ID) + 1
        follow(browser, f"table.list tbody tr:nth-child({place}) a.id")
        assert browser.text("h1") == HOSTILE_ID
        assert browser.evaluate("document.title.startsWith('u9')")
        assert browser.evaluate("document.querySelectorAll('script, img, [onerror]').length") == 0
        links = "[...document.querySelectorAll('a')].every(a => a.protocol === 'http:')"
        assert browser.evaluate(links) is True
        said = browser.text(".said")
        assert "<script>document.title='hacked'</script>" in said
        assert r"\u202eesrever \x1b[31mred\x07 javascript:" in said
        assert hears(browser) == pytest.approx(SECONDS, abs=0.05)
        # A script that is put in all the same does not run.
        browser.evaluate(
            "document.body.append(Object.assign(document.createElement('script'),"
            "{textContent: \"document.title='hacked'\"}))"
        )
        assert browser.evaluate("document.title.startsWith('u9')")


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_only_tables_scroll_and_they_say_so(
    run: Path, runs: InProcess, browser: Chromium, serve: Any, dark: bool
) -> None:
    other = finish(runs, "second", decoding={"beam_count": 5})
    with serve(run, other) as running:
        browser.show(390, 844, dark=dark)
        browser.visit(running.address)
        assert "Second \N{MINUS SIGN} first" in browser.text("table.list thead")
        assert sideways(browser) == 0
        assert browser.evaluate("document.querySelector('.sideways').offsetHeight") > 10
        paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(18, 24, 30)" if dark else "rgb(255, 255, 255)")
        for path in ("/utterance?id=u1", "/errors", f"/?search={'x' * 300}"):
            browser.visit(f"http://127.0.0.1:{running.port}{path}")
            assert sideways(browser) == 0, path
            assert browser.evaluate(BROKEN_WORDS) == [], path
        browser.show(1200, 900, dark=dark)
        browser.visit(f"http://127.0.0.1:{running.port}/")
        assert browser.evaluate("document.querySelector('.sideways').offsetHeight") == 0
        assert sideways(browser) == 0


def test_another_browser_is_not_let_in(run: Path, browser: Chromium, serve: Any) -> None:
    with serve(run) as running:
        browser.visit(running.address)
        browser.call("Network.clearBrowserCookies")
        browser.visit(running.address)
        assert browser.text("h1") == "Forbidden"
        assert "Open the address that it printed" in browser.text(".alert")


@pytest.mark.parametrize("dark", [False, True])
def test_the_report_is_heard_without_a_server(run: Path, browser: Chromium, dark: bool) -> None:
    place = Location.parse(str(run))
    record = read_record(place)
    place.create("metrics/model=fake/prompt=distribution/metrics.parquet", no_metrics())
    write_report(place, record, LabelSet(record.labels))
    browser.show(390, 844, dark=dark)
    browser.open(run / "report.html")
    assert sideways(browser) == 0
    assert browser.evaluate(BROKEN_WORDS) == []
    assert hears(browser, ".samples audio") == pytest.approx(SECONDS, abs=0.05)
    assert "<script>document.title='hacked'</script>" in browser.text("#examples ~ .samples")
    assert browser.evaluate("document.title.endsWith('raypipe report')")
    assert browser.complaints == []
    assert [url.partition(":")[0] for url in browser.requests] == ["file"]


def no_metrics() -> bytes:
    """A metrics table without rows."""
    return object_bytes(METRICS.empty_table(), model="fake", prompt="distribution", fingerprint="x")
