"""The wallboard as a person sees it: in Chromium, over the exporter, over a network that is broken on purpose."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import exporter as package
from tests.serving import FAST, Serving
from tests.simnet import Simnet
from tests.state.driver import Driver, device
from tests.web.browser import chromium, opened
from tests.web.site import Backend, Web

#: A name that would be markup if the page took it for some, and would be two if its address were cut at a slash.
NASTY = "<b>x</b>/y #?%"
CLASSES = """
classes:
  - {name: isp, match: {address: "*.*.*.5"}, role: isp, priority: 0, limits: {flap_changes: 100}}
  - {name: default, limits: {flap_changes: 100}}
"""
INVENTORY = f"""
sites:
  alpha: {{region: Tbilisi}}
  beta: {{maintenance: [{{start: 2020-01-01T00:00:00+00:00, end: 2099-01-01T00:00:00+00:00}}]}}
devices:
  - {{name: alpha-rt1, address: 10.1.1.1, site: alpha, role: router}}
  - {{name: alpha-sw1, address: 10.1.1.11, site: alpha, role: switch, parent: alpha-rt1}}
  - {{name: alpha-isp-a, address: 10.1.1.5, site: alpha, provider: magti}}
  - {{name: beta-isp-a, address: 10.1.2.5, site: beta, provider: silknet}}
  - {{name: beta-sw1, address: 10.1.2.11, site: beta, role: switch}}
  - {{name: gamma-isp-a, address: 10.1.3.5, site: gamma, provider: magti}}
  - {{name: gamma-sw1, address: 10.1.3.11, site: gamma, role: switch}}
  - {{name: "{NASTY}", address: 10.1.4.1, role: server}}
"""


@pytest.fixture(scope="module")
def exporter(module_simnet: Simnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    module_simnet.set("10.0.0.0/8", latency=0.01)
    running = Serving(tmp_path_factory.mktemp("exporter"), module_simnet)
    # One test's outage is no flap to the next.
    running.configure(FAST + CLASSES)
    (running.folder / "devices.yml").write_text(INVENTORY)
    with running:
        yield running.start_ready()


@pytest.fixture(scope="module")
def browser(module_simnet: Simnet) -> Iterator[Browser]:
    with chromium(module_simnet) as found:
        yield found


@pytest.fixture
def net(module_simnet: Simnet) -> Iterator[Simnet]:
    yield module_simnet
    module_simnet.restore("10.0.0.0/8")


@pytest.fixture
def url(exporter: Serving) -> str:
    return f"http://127.0.0.1:{exporter.port}"


@pytest.fixture
def board(browser: Browser, url: str) -> Iterator[Page]:
    """The board when all that can be is up."""
    with opened(browser, url) as page:
        expect(total(page, "up")).to_have_text("6")
        yield page


def total(page: Page, name: str) -> object:
    return page.locator(f"#totals [data-state={name}] b").first


def tile(page: Page, site: str) -> object:
    return page.locator(".site").filter(has=page.get_by_role("heading", name=site))


def marks(page: Page, name: str) -> object:
    return page.locator(f'a.device[aria-label^="{name}, "]')


def shown(page: Page) -> list[str]:
    labels = page.locator(".site:not([hidden]) li:not([hidden]) > a.device").evaluate_all(
        "links => links.map(link => link.getAttribute('aria-label'))"
    )
    return [label.partition(", ")[0] for label in labels]


def test_the_demonstration(browser: Browser, module_simnet: Simnet, tmp_path: Path) -> None:
    """The shipped inventory is there as it comes: its sites as tiles, ISP links first, with round-trip times,
    at the address that the log names."""
    demo = Serving(tmp_path, module_simnet)
    for path in (Path(package.__file__).parent / "default").iterdir():
        shutil.copy(path, tmp_path)
    demo.port = 9842
    with demo, opened(browser, f"http://127.0.0.1:{demo.start_ready().port}") as page:
        expect(total(page, "all")).to_have_text("12")
        expect(page.locator(".site h3 a")).to_have_text(["batumi-01", "kutaisi-01", "tbilisi-01"])
        names = page.locator(".site").last.locator(".device .name")
        expect(names).to_have_text(["isp-a", "isp-b", "rt1", "sw1", "name", "v6"])
        expect(page.locator(".isp .rtt")).to_have_text([re.compile(r"^\d[\d.]* [mµ]s$")] * 4)
        expect(page.locator("#connection")).to_have_text("live")
        assert "http://127.0.0.1:9842/" in demo.log.read_text()
        assert page.locator("footer a").evaluate_all("all => all.map(a => a.getAttribute('href'))") == [
            *("/metrics", "/metrics/snmp", "/api/v1/devices", "/sd", "/sd?role=isp", "/-/healthy", "/-/ready")
        ]


def test_a_device_that_is_cut(board: Page, net: Simnet) -> None:
    """Down shows in its mark, in words, in the totals, above all others and among the events; up again, nowhere."""
    net.cut("10.1.3.11")
    expect(marks(board, "gamma-sw1")).to_have_attribute("data-state", "down")
    expect(marks(board, "gamma-sw1")).to_contain_text("down")
    expect(marks(board, "gamma-sw1")).to_have_attribute("aria-label", "gamma-sw1, down (no reply)")
    expect(total(board, "down")).to_have_text("1")
    expect(board.locator("#trouble-list li")).to_have_text(
        re.compile(r"down.*gamma-sw1.*switch: no reply.*since \d")
    )
    expect(board.locator("#event-list li").first).to_contain_text("gamma-sw1")
    expect(board).to_have_title("1 down, ward wallboard")
    net.restore("10.1.3.11")
    expect(marks(board, "gamma-sw1")).to_have_attribute("data-state", "up")
    expect(board.locator("#trouble-list li")).to_have_count(0)
    expect(board.locator("#event-list li").first).to_contain_text("up")


def test_what_is_explained_is_no_trouble(board: Page, net: Simnet) -> None:
    """A site that is cut off is one row; what stands behind its link is marked as suppressed, with the reason."""
    expect(tile(board, "beta").locator(".note")).to_have_text("2 suppressed: maintenance")
    net.cut("10.1.1.0/24")
    expect(tile(board, "alpha")).to_have_attribute("data-worst", "isolated")
    expect(tile(board, "alpha").locator(".note")).to_have_text("2 suppressed: shadowed")
    expect(total(board, "isolated")).to_have_text("1")
    expect(board.locator("#trouble-list li")).to_have_count(1)
    expect(board.locator("#trouble-list li")).to_contain_text("isp-a (magti) down, and 2 behind")
    net.restore("10.1.1.0/24")
    expect(tile(board, "alpha")).to_have_attribute("data-worst", "up")


def test_filters_are_in_the_address(board: Page, url: str, browser: Browser) -> None:
    """What is chosen narrows the board, stands in the address, survives a reload, and Back undoes it."""
    board.get_by_label("Search").fill("magti isp")
    assert shown(board) == ["alpha-isp-a", "gamma-isp-a"]
    expect(board).to_have_url(f"{url}/?q=magti+isp")
    expect(board.locator("#shown")).to_have_text("2 of 8 devices")
    board.locator("#site").select_option("alpha")
    assert shown(board) == ["alpha-isp-a"]
    board.reload()
    expect(board.locator("#shown")).to_have_text("1 of 8 devices")
    expect(board.locator("#site")).to_have_value("alpha")
    board.get_by_role("button", name="Show all").first.click()
    expect(board).to_have_url(f"{url}/")
    board.get_by_label("Role").select_option("switch")
    assert shown(board) == ["alpha-sw1", "beta-sw1", "gamma-sw1"]
    board.get_by_role("button", name="Suppressed").click()
    assert shown(board) == ["beta-sw1"]
    expect(board).to_have_url(f"{url}/?role=switch&state=suppressed")
    board.go_back()
    expect(board.locator("#shown")).to_have_text("3 of 8 devices")
    with opened(browser, f"{url}/?site=nowhere") as other:
        expect(other.get_by_text("No device fits.")).to_be_visible()
        expect(other.get_by_text("Needs attention")).to_be_hidden()


def test_a_state_that_changes_under_a_filter(browser: Browser, url: str, net: Simnet) -> None:
    """A board of what is down fills and empties by itself."""
    with opened(browser, f"{url}/?state=down") as page:
        expect(page.locator("#shown")).to_have_text("0 of 8 devices")
        net.cut("10.1.3.11")
        expect(page.locator("#shown")).to_have_text("1 of 8 devices")
        assert shown(page) == ["gamma-sw1"]
        net.restore("10.1.3.11")
        expect(page.locator("#shown")).to_have_text("0 of 8 devices")


def test_the_keyboard(board: Page, url: str) -> None:
    """All can be done without a mouse: search, walk over devices and sites, open one, come back to it."""
    press = board.keyboard.press
    press("/")
    expect(board.get_by_label("Search")).to_be_focused()
    board.keyboard.type("a-sw1")
    expect(board.locator("#shown")).to_have_text("3 of 8 devices")
    press("Escape")
    expect(marks(board, "alpha-sw1")).to_be_focused()
    press("ArrowRight")
    expect(marks(board, "beta-sw1")).to_be_focused()
    press("ArrowDown")
    expect(marks(board, "gamma-sw1")).to_be_focused()
    press("k")
    press("Enter")
    expect(board).to_have_url(f"{url}/device/beta-sw1")
    expect(board.get_by_role("heading", name="beta-sw1")).to_be_focused()
    press("Escape")
    expect(board).to_have_url(f"{url}/?q=a-sw1")
    expect(marks(board, "beta-sw1")).to_be_focused()
    press("0")
    expect(board.locator("#shown")).to_have_text("8 devices")
    press("3")
    expect(board).to_have_url(f"{url}/?state=suppressed")
    press("3")
    press("v")
    expect(board).to_have_url(f"{url}/?view=detail")
    expect(marks(board, "gamma-sw1").locator(".rtt")).to_have_text(re.compile(" ms$"))
    press("?")
    expect(board.get_by_role("dialog")).to_be_visible()
    press("Escape")
    expect(board.get_by_role("dialog")).to_be_hidden()
    assert board.locator("a.device[tabindex='0']").count() == 1


def test_the_page_of_a_device(browser: Browser, url: str, net: Simnet) -> None:
    """A device's own address shows its last probes as bars, a lost one as a crossed bar, its figures and events,
    and goes on living."""
    with opened(browser, f"{url}/device/gamma-sw1") as page:
        expect(page.locator("#device .state")).to_contain_text("up since")
        expect(page.locator(".strip .answered").first).to_be_attached()
        net.cut("10.1.3.11")
        expect(page.locator("#device .state")).to_contain_text("down since")
        expect(page.locator("#device .state")).to_contain_text("no reply")
        expect(page.locator(".strip .lost path").nth(2)).to_be_attached()
        expect(page.get_by_role("img")).to_have_attribute(
            "aria-label", re.compile(r"^Of the last \d+ probes \d+ were")
        )
        expect(page.locator(".event-list li").first).to_contain_text("down")
        expect(page.locator("#device dl").first).to_contain_text(re.compile(r"RTT, mean.*Loss.*%"))
        net.restore("10.1.3.11")
        expect(page.locator("#device .state")).to_contain_text("up since")
        page.get_by_role("link", name="gamma", exact=True).click()
        expect(page).to_have_url(f"{url}/?site=gamma")
        assert shown(page) == ["gamma-isp-a", "gamma-sw1"]


def test_a_name_made_of_anything(board: Page, url: str, browser: Browser) -> None:
    """A name is text wherever it stands, and its page has an address that can be opened again; one that nobody has
    is told so."""
    marks(board, NASTY).click()
    expect(board.get_by_role("heading", name=NASTY)).to_be_visible()
    assert board.locator("b:text-is('x')").count() == 0
    board.reload()
    expect(board.get_by_role("heading", name=NASTY)).to_be_visible()
    expect(board.locator("#device .state")).to_contain_text("up since")
    with opened(browser, f"{url}/device/nobody", quiet=False) as page:
        expect(page.get_by_text("No device is called nobody.")).to_be_visible()


def test_the_exporter_is_lost(browser: Browser, url: str, exporter: Serving) -> None:
    """When the exporter is gone the page says so, since when, and keeps what it knew; when it is back, so is the
    page, with what has happened meanwhile."""
    assert exporter.net is not None
    with opened(browser, url, quiet=False) as page:
        expect(total(page, "up")).to_have_text("6")
        exporter.end()
        expect(page.get_by_role("alert")).to_have_text(
            re.compile(r"Lost the exporter at \d\d:\d\d:\d\d: .*trying again")
        )
        expect(page.locator("#connection")).to_have_text("lost")
        expect(page.locator(".connection")).to_have_text(re.compile(r"^lost \d+ s ago$"))
        expect(total(page, "up")).to_have_text("6")
        exporter.net.cut("10.1.3.11")
        exporter.start_ready()
        expect(page.locator("#connection")).to_have_text("live", timeout=15_000)
        expect(page.get_by_role("alert")).to_be_empty()
        expect(marks(page, "gamma-sw1")).to_have_attribute("data-state", "down")
        exporter.net.restore("10.1.3.11")
        expect(marks(page, "gamma-sw1")).to_have_attribute("data-state", "up")


def test_a_reload_with_another_inventory(board: Page, exporter: Serving) -> None:
    """A board that is open goes over to the new inventory by itself."""
    path = exporter.folder / "devices.yml"
    try:
        path.write_text(INVENTORY + "  - {name: delta-rt1, address: 10.1.5.1, site: delta, role: router}\n")
        exporter.reload()
        expect(marks(board, "delta-rt1")).to_have_attribute("data-state", "up")
    finally:
        path.write_text(INVENTORY)
        exporter.reload()
    expect(total(board, "all")).to_have_text("8")


def brightness(colour: str) -> int:
    return sum(map(int, re.findall(r"\d+", colour)))


def test_dark_and_light(browser: Browser, url: str) -> None:
    """Dark or light as the system says, until the switch says otherwise; that is remembered."""

    def ground(page: Page) -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    with opened(browser, url, scheme="light") as page:
        light = ground(page)
        page.get_by_role("button", name="Theme").click()
        dark = ground(page)
        assert brightness(dark) < 200
        assert brightness(light) > 600
        page.reload()
        assert ground(page) == dark
        page.keyboard.press("t")
        page.keyboard.press("t")
        assert ground(page) == light
    with opened(browser, url, scheme="dark") as page:
        assert ground(page) == dark


def test_a_phone(browser: Browser, url: str) -> None:
    """At a phone's width nothing needs to be moved sideways, and nothing is cut."""
    with opened(browser, url, width=360, height=740) as page:
        for path in ("/", "/?view=detail", "/device/gamma-sw1"):
            page.goto(url + path)
            expect(page.locator("#connection")).to_have_text("live")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_accessibility(browser: Browser, url: str, net: Simnet, scheme: str) -> None:
    """axe-core finds nothing serious on the board with trouble on it, in the list of keys, on a device's page."""
    net.cut(["10.1.3.11", "10.1.1.0/24"])
    with opened(browser, url, scheme=scheme) as page:
        expect(total(page, "down")).to_have_text("2")
        expect(tile(page, "alpha").locator(".note")).to_be_visible()
        serious(page)
        page.keyboard.press("?")
        serious(page)
        page.goto(f"{url}/device/gamma-sw1")
        expect(page.locator(".strip")).to_be_visible()
        serious(page)


def serious(page: Page) -> None:
    found = Axe().run(page)
    bad = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
    assert found.response["passes"]
    assert [(one["id"], [node["html"] for node in one["nodes"]][:5]) for one in bad] == []


def test_a_thousand_devices(browser: Browser, module_simnet: Simnet) -> None:
    """Of a thousand devices, a change touches that device's tile and no other: an update costs what has changed."""
    devices = [
        device(f"site-{site:03}-d{number}", site=f"site-{site:03}") for site in range(100) for number in range(10)
    ]
    driver = Driver(devices)
    driver.settle(up=driver.row)
    web = module_simnet.inside(Web, Backend(driver))
    try:
        with opened(browser, f"http://127.0.0.1:{web.port}") as page:
            expect(page.locator(".site")).to_have_count(100)
            expect(total(page, "up")).to_have_text("1000")
            page.evaluate(
                """() => {
                    window.touched = new Set();
                    new MutationObserver((all) => {
                        for (const one of all) {
                            const site = one.target.parentElement.closest(".site") ?? one.target;
                            window.touched.add(site.querySelector("h3 a").textContent);
                        }
                    }).observe(document.querySelector("#sites"),
                        { subtree: true, childList: true, attributes: true, characterData: true });
                }"""
            )
            rest = [one.name for one in devices if one.name != "site-042-d7"]
            driver.settle(up=rest, down=["site-042-d7"])
            expect(marks(page, "site-042-d7")).to_have_attribute("data-state", "down")
            assert page.evaluate("[...window.touched]") == ["site-042"]
    finally:
        web.close()
