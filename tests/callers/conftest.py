"""One deployment for programs and the console; in a browser, a page that tolerates no surprise."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from corpus.reader import Entry, read_corpus
from tests.end_to_end.local_app import ROOT, SAMPLE, LocalApp

# What a careless page would run, and what a careful one shows.
MARKUP = "<img src=x onerror=\"document.title='owned'\"> **bold** <b>not bold</b>"
ODD_ENTRIES = [
    Entry(
        "markup",
        ("How do pages show markup from strangers?",),
        MARKUP,
        {"url": "javascript:alert(1)"},
    ),
    Entry(
        "linked",
        ("Where is the developer guide of the console?",),
        "Behind this link.",
        {"url": "https://docs.example.com/guide?a=1"},
    ),
]
AXE = ROOT / "node_modules/axe-core/axe.min.js"
WATCH_POLICY = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""


@dataclass(frozen=True)
class Elsewhere:
    """A web page of two other origins, of which the settings name the first."""

    port: int

    @property
    def allowed(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def foreign(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>Elsewhere</title><link rel=icon href=data:,>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[Elsewhere]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _EmptyPage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Elsewhere(server.server_port)
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory, elsewhere: Elsewhere) -> Iterator[LocalApp]:
    """`make local` with the sample, two odd entries, and an origin that may ask."""
    folder = tmp_path_factory.mktemp("console")
    lines = [entry.canonical() for entry in [*read_corpus(SAMPLE), *ODD_ENTRIES]]
    corpus = folder / "faq.jsonl"
    corpus.write_text("".join(lines), encoding="utf-8")
    settings = (ROOT / "config/local.toml").read_text(encoding="utf-8")
    settings = settings.replace(str(SAMPLE.relative_to(ROOT)), str(corpus))
    origins = f'console = true\ncors_origins = ["{elsewhere.allowed}"]\n'
    assert "console = true\n" in settings
    config = folder / "config"
    config.mkdir()
    (config / "local.toml").write_text(settings.replace("console = true\n", origins))
    app = LocalApp(folder / "state", config=config)
    try:
        yield app.start()
    finally:
        if app.process.poll() is None:
            app.interrupt()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert program, "Chromium is needed: apt-get install chromium, or CHROMIUM=…"
    # Chromium's sandbox does not run as root, which containers often do.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, app: LocalApp) -> Iterator[OpenPage]:
    """Opens the console in a new context, made with Playwright's options for one.

    Afterwards fails if a page broke its policy, asked another host or logged an error.
    """
    contexts: list[BrowserContext] = []
    surprises: list[str] = []
    host = urlsplit(app.api["url"]).netloc

    def check_host(url: str) -> None:
        found = urlsplit(url)
        if found.scheme not in ("data", "blob") and found.netloc != host:
            surprises.append(f"asked {url}")

    def open_page(path: str = "/console", **options: Any) -> Page:
        context = browser.new_context(**{"locale": "en-GB", **options})
        context.set_default_timeout(15_000)
        contexts.append(context)
        context.add_init_script(WATCH_POLICY)
        page = context.new_page()
        page.on("request", lambda request: check_host(request.url))
        page.on("pageerror", lambda error: surprises.append(str(error)))
        page.on(
            "console",
            # Of refused requests the page itself says more.
            lambda message: (
                message.type == "error"
                and "Failed to load resource" not in message.text
                and surprises.append(message.text)
            ),
        )
        page.goto(app.api["url"] + path)
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            surprises += page.evaluate("window.violations")
        context.close()
    assert surprises == []


def sign_in(page: Page, app: LocalApp) -> Page:
    page.locator("#credentials").fill(app.api["api_key"])
    page.locator("#sign-in-form button").click()
    expect(page.locator("#work")).to_be_visible()
    return page


@pytest.fixture
def signed_in(open_page: OpenPage, app: LocalApp) -> OpenPage:
    """As `open_page`, signed in."""

    def signed_in(path: str = "/console", **options: Any) -> Page:
        return sign_in(open_page(path, **options), app)

    return signed_in
