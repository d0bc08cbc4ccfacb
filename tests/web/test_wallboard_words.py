"""What the wallboard says and does at the edges, over states that the test sets itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from exporter.inventory.device import Device, Limits, Site, Window
from tests.state.driver import Driver, device
from tests.web.browser import chromium, opened
from tests.web.site import Backend, Web

#: Provokes what follows it to be written from right to left.
TURNED = "\u202etigam"
ALWAYS = (Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)),)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def serve(driver: Driver) -> AbstractContextManager[Web]:
    return closing(Web(Backend(driver)))


def url(web: Web) -> str:
    return f"http://127.0.0.1:{web.port}"


def branch(site: str, **fields: Any) -> list[Device]:
    """A link and a switch, of which no change is one too many."""
    fields = {"site": site, "limits": Limits(flap_changes=100), **fields}
    return [device(f"{site}-isp-a", role="isp", **fields), device(f"{site}-sw", **fields)]


def settled(devices: list[Device], *sites: Site) -> Driver:
    driver = Driver(devices, sites)
    driver.settle(up=driver.row)
    return driver


def cut(driver: Driver, *names: str) -> None:
    driver.settle(up=[name for name in driver.row if name not in names], down=names, seconds=4)


def mark(page: Page, name: str) -> object:
    return page.locator(f'a.device[aria-label^="{name}, "]')


def total(page: Page, name: str) -> object:
    return page.locator(f"#totals [data-state={name}] b").first


def test_what_is_planned_or_bridged_is_not_cut_off(browser: Browser) -> None:
    """Without its ISP links a site is cut off; not so in maintenance, nor where its devices are reached without
    them: there the link that is down is told, and nothing of what is behind it."""
    devices = [*branch("a"), *branch("work", maintenance=ALWAYS), *branch("lte"), *branch("d"), *branch("e")]
    driver = settled(devices, Site(name="lte", local_uplinks=True))
    with serve(driver) as web, opened(browser, url(web)) as page:
        expect(total(page, "up")).to_have_text("8")
        cut(driver, "a-isp-a", "a-sw", "work-isp-a", "work-sw", "lte-isp-a")
        rows = page.locator("#trouble-list li")
        expect(rows.filter(has_text="cut off")).to_have_text([re.compile("cut off.*isp-a down, and 1 behind")])
        expect(rows).to_have_text([re.compile("a.*cut off|cut off.*a"), re.compile("down.*lte-isp-a.*ISP link")])
        expect(total(page, "isolated")).to_have_text("1")
        expect(total(page, "ispDown")).to_have_text("2")
        worst = {site: page.locator(f".site:has(h3 a:text-is('{site}'))") for site in ("a", "work", "lte")}
        expect(worst["a"]).to_have_attribute("data-worst", "isolated")
        expect(worst["work"]).to_have_attribute("data-worst", "suppressed")
        expect(worst["lte"]).to_have_attribute("data-worst", "down")
        events = page.locator("#event-list li")
        expect(events.filter(has=page.locator("a:text-is('lte')"))).to_contain_text("links down")
        expect(events.filter(has=page.locator("a:text-is('a')"))).to_contain_text("cut off")


def test_another_version(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A board that is open while the exporter is replaced by another version takes that version's script, once;
    a reload of the inventory alone changes the page as it stands."""
    driver = settled(branch("a"))
    with serve(driver) as web, opened(browser, f"{url(web)}/?role=isp") as page:
        expect(total(page, "all")).to_have_text("2")
        page.evaluate("window.former = true")
        monkeypatch.setattr("exporter.web.changes.__version__", "9.9.9")
        web.backend.verdicts = settled([*branch("a"), device("new")]).verdicts
        expect(page.locator("#version")).to_have_text("9.9.9")
        expect(total(page, "all")).to_have_text("3")
        expect(page).to_have_url(f"{url(web)}/?role=isp")
        assert page.evaluate("window.former") is None
        page.evaluate("window.former = true")
        web.backend.verdicts = driver.verdicts
        expect(total(page, "all")).to_have_text("2")
        assert page.evaluate("window.former")


def test_an_address_typed_by_hand(browser: Browser) -> None:
    """A percent sign that means nothing else means itself, and the page lives."""
    path = "50%zz/a%ff/100%"
    driver = settled([*branch("a"), device(path)])
    with serve(driver) as web, opened(browser, f"{url(web)}/device/{path}", quiet=False) as page:
        expect(total(page, "all")).to_have_text("3")
        expect(page.get_by_role("heading", level=2)).to_have_text(path)
        expect(page.locator("#device .state")).to_contain_text("up since")
        assert page.title() == path


def test_a_verdict_is_told_and_not_asked_for(browser: Browser) -> None:
    """From a verdict to the screen no page asks for anything, and what it does is bounded by what has changed: a
    mark turns, and one row comes into each list, whatever these hold already."""
    names = [f"s{number}-sw" for number in range(8)]
    driver = settled([one for number in range(8) for one in branch(f"s{number}")])
    with serve(driver) as web, opened(browser, url(web)) as page:
        expect(total(page, "up")).to_have_text("16")
        cut(driver, *names[:5])
        expect(page.locator("#trouble-list li")).to_have_count(5)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.evaluate(
            """() => {
                window.moved = [];
                const watch = new MutationObserver((all) => {
                    for (const one of all) window.moved.push(...one.addedNodes, ...one.removedNodes);
                });
                for (const id of ["trouble-list", "event-list", "sites"])
                    watch.observe(document.getElementById(id), { subtree: true, childList: true });
            }"""
        )
        cut(driver, *names[:6])
        expect(mark(page, names[5])).to_have_attribute("data-state", "down")
        expect(page.locator("#trouble-list li")).to_have_count(6)
        rows = page.evaluate("moved.filter(node => node.nodeName === 'LI').map(node => node.textContent)")
        assert len(rows) == 2
        assert all(names[5] in row for row in rows)
        assert asked == []


def test_the_keyboard_stays_where_it_is(browser: Browser) -> None:
    """Whoever has come to a row of a list stays there while others come and go; when that row itself goes, the next
    one has the keyboard, and without any the devices have."""
    driver = settled([one for site in "abc" for one in branch(site)])
    with serve(driver) as web, opened(browser, url(web)) as page:
        expect(total(page, "up")).to_have_text("6")
        for name in ("#trouble-list", "#event-list"):
            cut(driver, "b-sw")
            link = page.locator(f"{name} li a").get_by_text("b-sw").first.element_handle()
            link.focus()
            cut(driver, "a-sw", "b-sw")
            expect(total(page, "down")).to_have_text("2")
            assert link.evaluate("one => one === document.activeElement")
            cut(driver)
            expect(total(page, "down")).to_have_text("0")
        assert link.evaluate("one => one === document.activeElement")
        cut(driver, "a-sw", "b-sw")
        expect(total(page, "down")).to_have_text("2")
        page.locator("#trouble-list a").get_by_text("b-sw").focus()
        cut(driver, "a-sw")
        expect(page.locator("#trouble-list a")).to_have_text(["a-sw"])
        expect(page.locator("#trouble-list a")).to_be_focused()
        cut(driver)
        expect(page.locator("#trouble-list a")).to_have_count(0)
        expect(page.locator("#main")).to_be_focused()


def test_a_flash_is_seen_once(browser: Browser) -> None:
    """What has changed has a ring for a while, also if it is hidden meanwhile, and nothing moves: sixty paintings a
    second would hold up the next change."""
    driver = settled(branch("a"))
    with serve(driver) as web, closing(browser.new_context()) as context:
        page = context.new_page()
        page.clock.install()
        page.goto(url(web))
        expect(total(page, "up")).to_have_text("2")
        cut(driver, "a-sw")
        ring = page.locator(".changed")
        expect(ring).to_have_text(re.compile("^sw"))
        assert page.evaluate("document.getAnimations().length") == 0
        page.locator("#role").select_option("isp")
        page.clock.fast_forward(2500)
        page.locator("#role").select_option("")
        expect(mark(page, "a-sw")).to_be_visible()
        expect(ring).to_have_count(0)


def test_seconds_are_not_read_aloud(browser: Browser) -> None:
    """That the exporter is lost is announced once; how long ago is for the eye, and counts on beside it."""
    web = Web(Backend(settled(branch("a"))))
    try:
        with opened(browser, url(web), quiet=False) as page:
            expect(page.get_by_role("status")).to_have_text(["live", "2 devices"])
            web.close()
            expect(page.get_by_role("status").first).to_have_text("lost")
            expect(page.locator(".connection")).to_have_text(re.compile(r"^lost \d+ s ago$"))
            page.evaluate(
                """() => {
                    window.said = 0;
                    const watch = new MutationObserver((all) => (window.said += all.length));
                    for (const one of document.querySelectorAll("[role=status]"))
                        watch.observe(one, { subtree: true, childList: true, characterData: true });
                }"""
            )
            ago = page.locator("#ago").text_content()
            expect(page.locator("#ago")).not_to_have_text(ago or "")
            assert page.evaluate("said") == 0
    finally:
        web.close()


def test_names_in_their_places(browser: Browser) -> None:
    """A name that is too long ends within its tile, with an ellipsis; one that is written the other way round turns
    nothing that stands beside it."""
    long = "x" * 120
    driver = settled([device(long, site="y" * 80), device("a-isp-a", site="a", role="isp", provider=TURNED)])
    with serve(driver) as web, opened(browser, url(web)) as page:
        expect(total(page, "up")).to_have_text("2")
        tile = page.locator(".site").last
        for cell in (tile.locator("h3 a"), tile.locator(".device .name")):
            assert cell.evaluate("one => one.scrollWidth > one.clientWidth")
            assert cell.evaluate("one => getComputedStyle(one).textOverflow") == "ellipsis"
            assert cell.evaluate("one => one.getBoundingClientRect().right") <= tile.evaluate(
                "one => one.getBoundingClientRect().right"
            )
        cut(driver, "a-isp-a")
        what = page.locator("#trouble-list .what")
        expect(what).to_contain_text("behind")
        place = what.evaluate(
            """(one) => {
                const words = one.lastChild, range = document.createRange();
                const left = (from) => (range.setStart(words, from), range.setEnd(words, from + 1),
                    range.getBoundingClientRect().left);
                return ["d", "o", "w", "n"].map((letter) => left(words.data.indexOf(letter)));
            }"""
        )
        assert place == sorted(place)


def test_a_quiet_network(browser: Browser) -> None:
    """When all is up the page says that all is well, but not where something is unknown or nothing is probed; and a
    round trip of some microseconds is told as such."""
    with serve(settled(branch("a"))) as web, opened(browser, url(web)) as page:
        rest = page.locator("#trouble-rest")
        expect(rest).to_have_text("All is well.")
        web.backend.sick = "the probe loop stands for 7 s"
        expect(page.get_by_role("alert")).to_contain_text("stands for 7 s")
        expect(rest).to_be_empty()
        web.backend.sick = ""
        web.backend.verdicts = settled([*branch("a"), *branch("work", maintenance=ALWAYS)]).verdicts
        expect(rest).to_have_text("Nothing. 2 suppressed: explained by something else.")
        quick = Driver(branch("a"))
        for _ in range(4):
            quick.send()
            quick.reply(["a-isp-a"], rtt=0.0000424)
            quick.cycle += 1
        web.backend.verdicts = quick.verdicts
        expect(total(page, "all")).to_have_text("2")
        expect(page.locator(".isp .rtt")).to_have_text("42 µs")
        expect(rest).to_have_text("Nothing. 1 not known yet.")


def test_coming_again(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is turned away comes again when it was told to, and not all of them at the same moment."""
    monkeypatch.setattr("exporter.web.app.MOST_LISTENERS", 0)
    with serve(settled(branch("a"))) as web, closing(browser.new_context()) as context:
        page = context.new_page()
        page.clock.install()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)
        # Of the wait after the first time, and after the second.
        page.add_init_script("const chances = [0, 0.8]; Math.random = () => chances.shift() ?? 0;")
        page.goto(url(web))
        expect(page.get_by_role("alert")).to_contain_text("too many wallboards are open")
        for number, milliseconds in enumerate((10_000, 14_000), 1):
            page.clock.fast_forward(milliseconds - 2000)
            expect(page.locator(".connection")).to_contain_text("lost")
            assert len(asked) == number
            with page.expect_response("**/api/v1/events"):
                page.clock.fast_forward(2100)
            page.clock.run_for(1)
