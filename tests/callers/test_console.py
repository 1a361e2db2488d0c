"""What people do with the console, as a browser does it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from playwright.sync_api import Browser, Error, Page, Request, expect

from tests.callers.conftest import AXE, MARKUP, Elsewhere, OpenPage, sign_in
from tests.end_to_end.local_app import LocalApp

TABS = ["ask", "compare", "batches", "stage"]
QUESTION = "Is R supported with Amazon SageMaker?"
BATCH_SECONDS = 60


def tab(page: Page, name: str) -> None:
    page.locator(f"#tab-{name}").click()
    expect(page.locator(f"#{name}")).to_be_visible()


def put_question(page: Page, question: str = QUESTION) -> None:
    page.locator("#question").fill(question)
    page.locator("#ask-form button").click()
    expect(page.locator("#hits li").first).to_be_visible()


def compare_example(page: Page) -> None:
    tab(page, "compare")
    page.locator("#example").click()
    page.locator("#compare-form button[type=submit]").click()
    expect(page.locator("#heat-map table")).to_be_visible()


def test_a_question_by_keyboard_alone(open_page: OpenPage, app: LocalApp) -> None:
    page = open_page()
    expect(page.locator("#credentials")).to_be_focused()
    page.keyboard.type(app.api["api_key"])
    page.keyboard.press("Enter")
    expect(page.locator("#tab-ask")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    hits = page.locator("#hits li")
    expect(hits).to_have_count(3)
    expect(page.locator("#ask-status")).to_contain_text("3 answers in")
    expect(page.locator("#ask-status")).to_contain_text("from ml.c6i.xlarge")
    expect(hits.first).to_contain_text("R")
    scores = [float(text.split()[-1]) for text in page.locator(".score").all_text_contents()]
    assert scores == sorted(scores, reverse=True)


def test_tabs_by_keyboard(signed_in: OpenPage) -> None:
    page = signed_in()
    expect(page.locator("#tab-ask")).to_be_focused()
    for key, name in [
        ("ArrowRight", "compare"),
        ("End", "stage"),
        ("ArrowRight", "ask"),
        ("ArrowLeft", "stage"),
        ("Home", "ask"),
    ]:
        page.keyboard.press(key)
        expect(page.locator(f"#tab-{name}")).to_be_focused()
        chosen = page.locator("[role=tab][aria-selected=true]")
        assert chosen.get_attribute("id") == f"tab-{name}"
        expect(page.locator("[role=tabpanel]:visible")).to_have_count(1)
        expect(page.locator(f"#{name}")).to_be_visible()
    # One of them alone takes the focus on the way through the page.
    assert page.locator("[role=tab][tabindex='0']").count() == 1


def test_an_endpoint_of_ones_choice_answers(signed_in: OpenPage) -> None:
    page = signed_in()
    page.locator("#endpoint").select_option("ml.g5.2xlarge")
    page.locator("#answers").select_option("1")
    put_question(page)
    expect(page.locator("#hits li")).to_have_count(1)
    expect(page.locator("#ask-status")).to_contain_text("1 answer in")
    expect(page.locator("#ask-status")).to_contain_text("from ml.g5.2xlarge")


def test_a_wrong_key_and_none(open_page: OpenPage, app: LocalApp) -> None:
    page = open_page()
    page.locator("#sign-in-form button").click()
    expect(page.locator("#sign-in-error")).to_contain_text("Fill in this field first.")
    page.locator("#credentials").fill("wrong")
    page.locator("#sign-in-form button").click()
    error = page.locator("#sign-in-error")
    expect(error).to_contain_text("The API did not accept these credentials.")
    expect(error).to_contain_text("This API key is not valid.")
    expect(page.locator("#work")).to_be_hidden()
    sign_in(page, app)


def test_the_key_stays_in_the_tab_until_it_is_closed_or_signed_out(
    signed_in: OpenPage, app: LocalApp
) -> None:
    page = signed_in()
    page.reload()
    expect(page.locator("#work")).to_be_visible()
    put_question(page)
    kept = page.evaluate("JSON.stringify([{...localStorage}, document.cookie, location.href])")
    assert app.api["api_key"] not in kept
    other_tab = page.context.new_page()
    other_tab.goto(page.url)
    expect(other_tab.locator("#sign-in")).to_be_visible()
    page.locator("#sign-out").click()
    expect(page.locator("#sign-in")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    expect(page.locator("#hits li")).to_have_count(0)


def test_a_key_that_is_no_longer_valid_asks_for_another(signed_in: OpenPage, app: LocalApp) -> None:
    page = signed_in()
    page.evaluate(
        "sessionStorage.setItem('faq-search.credentials', JSON.stringify({secret: 'old'}))"
    )
    page.locator("#question").fill(QUESTION)
    page.locator("#ask-form button").click()
    expect(page.locator("#sign-in-error")).to_contain_text("did not accept")
    sign_in(page, app)
    put_question(page)


def test_markup_in_answers_is_text_and_only_web_links_are_links(signed_in: OpenPage) -> None:
    page = signed_in()
    put_question(page, "How do pages show markup from strangers?")
    first = page.locator("#hits li").first
    expect(first.locator(".answer")).to_have_text(MARKUP)
    expect(first.locator("a")).to_have_count(0)
    expect(first.locator("dd", has_text="javascript:")).to_have_count(1)
    assert page.locator("#hits img, #hits b").count() == 0
    put_question(page, "Where is the developer guide of the console?")
    link = page.locator("#hits li").first.locator("a")
    expect(link).to_have_attribute("href", "https://docs.example.com/guide?a=1")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    assert page.title() == "FAQ search"


def test_the_policy_stops_what_would_make_markup_of_text(browser: Browser, app: LocalApp) -> None:
    page = browser.new_page()
    page.goto(app.api["url"] + "/console")
    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<b>x</b>'")
    page.close()


def test_texts_are_compared_in_colours_that_can_be_read(signed_in: OpenPage) -> None:
    page = signed_in()
    compare_example(page)
    cells = page.locator("#heat-map td[style]")
    expect(cells).to_have_count(81)
    values = [float(text) for text in cells.all_text_contents()]
    assert all(values[n * 10] == 1 for n in range(9))
    assert values[1] == values[9] > 0.8 > 0.5 > values[3]
    expect(page.locator("#compare-status")).to_contain_text("9 texts compared")
    expect(page.locator("#heat-map tbody th").first).to_have_text("1. Your dog is so cute.")
    for background, text in page.evaluate(
        "[...document.querySelectorAll('#heat-map td[style]')]"
        ".map((c) => [getComputedStyle(c).backgroundColor, getComputedStyle(c).color])"
    ):
        assert contrast(background, text) >= 4.5


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_one_text_is_not_compared(signed_in: OpenPage) -> None:
    page = signed_in("/console#compare")
    page.locator("#texts").fill("alone\n\n")
    page.locator("#compare-form button[type=submit]").click()
    expect(page.locator("#compare-error")).to_have_text("Give at least two texts, one a line.")


def test_a_batch_from_texts_to_results(signed_in: OpenPage) -> None:
    page = signed_in("/console#batches")
    page.locator("#batch-form button").click()
    expect(page.locator("#batch-error")).to_have_text("Give texts or choose a file.")
    page.locator("#batch-texts").fill("What is R?\nWhat is Python?\n")
    page.locator("#batch-form button").click()
    card = page.locator("#followed > li").first
    expect(card).to_contain_text("State: completed", timeout=BATCH_SECONDS * 1000)
    expect(card).to_contain_text("2 embedded, 0 failed, 0 lines rejected")
    expect(page.locator("#batch-status")).to_contain_text("completed")
    show = card.locator("button", has_text="Show the beginning of").first
    show.click()
    first = card.locator("pre").text_content()
    assert first is not None and first.startswith('{"id":1,"embedding":[')
    expect(show).to_be_focused()
    heading = card.locator("h3").text_content()
    assert heading is not None
    # The same batch, in another tab.
    other = signed_in("/console#batches")
    other.locator("#batch-id").fill(heading.removeprefix("Batch "))
    other.locator("#follow-form button").click()
    expect(other.locator("#followed > li")).to_contain_text("State: completed")


def test_a_batch_from_a_file_can_be_stopped(signed_in: OpenPage) -> None:
    page = signed_in("/console#batches")
    content = "".join(
        json.dumps({"id": n, "text_inputs": f"Question {n}?"}) + "\n" for n in range(3000)
    )
    page.locator("#batch-file").set_input_files(
        {"name": "q.jsonl", "mimeType": "application/json", "buffer": content.encode()}
    )
    page.locator("#batch-form button").click()
    card = page.locator("#followed > li").first
    card.locator("button", has_text="Stop").click()
    expect(card).to_contain_text("State: stopped", timeout=BATCH_SECONDS * 1000)
    card.locator("button", has_text="Remove from the list").click()
    expect(page.locator("#followed > li")).to_have_count(0)


def test_an_unknown_batch_is_said_so(signed_in: OpenPage) -> None:
    page = signed_in("/console#batches")
    page.locator("#batch-id").fill("nonsense")
    page.locator("#follow-form button").click()
    expect(page.locator("#batch-error")).to_contain_text("That does not exist.")


def test_the_stage_and_what_it_costs(signed_in: OpenPage) -> None:
    page = signed_in("/console#stage")
    rows = page.locator("#deployed tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("ml.c6i.xlarge")
    expect(rows.first).to_contain_text("answers")
    expect(rows.first.locator("td").last).to_contain_text("US$")
    expect(page.locator("#deployed tfoot")).to_contain_text("US$")
    expect(page.locator("#deployed dl")).to_contain_text("all-MiniLM-L6-v2")
    expect(page.locator("#deployed dl")).to_contain_text("384 dimensions")
    expect(page.locator("#deployed dl")).to_contain_text("switched on")


def test_the_api_is_away(signed_in: OpenPage) -> None:
    page = signed_in()
    page.route("**/search", lambda route: route.abort())
    page.locator("#question").fill(QUESTION)
    page.locator("#ask-form button").click()
    expect(page.locator("#ask-error")).to_contain_text("The API could not be reached.")
    page.unroute("**/search")
    answer = {"code": "serving_off", "message": "Switched off.", "request_id": "r-1"}
    page.route("**/search", lambda route: route.fulfill(status=503, json=answer))
    page.locator("#ask-form button").click()
    expect(page.locator("#ask-error")).to_contain_text("The endpoints are switched off.")
    expect(page.locator("#ask-error")).to_contain_text("Request r-1")


def test_in_russian(signed_in: OpenPage) -> None:
    page = signed_in()
    put_question(page)
    page.locator("#language").select_option("ru")
    expect(page.locator("html")).to_have_attribute("lang", "ru")
    expect(page.locator("#tab-compare")).to_have_text("Сравнение")
    expect(page.locator("#ask-status")).to_contain_text("3 ответа за")
    expect(page.locator(".score").first).to_contain_text("Оценка 0,")
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "ru")
    compare_example(page)
    expect(page.locator("#compare-status")).to_contain_text("9 текстов сравнено за")
    tab(page, "stage")
    expect(page.locator("#deployed tfoot")).to_contain_text("Всего")


def test_a_russian_browser_gets_russian_at_once(open_page: OpenPage) -> None:
    page = open_page(locale="ru-RU")
    expect(page.locator("#sign-in-title")).to_have_text("Вход")
    expect(open_page(locale="fr-FR").locator("#sign-in-title")).to_have_text("Sign in")


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong, best practices included."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    return [
        f"{violation['id']}: {node['html']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize(("scheme", "language"), [("light", "en-GB"), ("dark", "ru-RU")])
def test_everybody_can_use_it(
    open_page: OpenPage, app: LocalApp, scheme: Any, language: str
) -> None:
    """axe-core's rules, on every tab with something on it."""
    page = open_page(color_scheme=scheme, locale=language)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(dark) < 0.05) is (scheme == "dark")
    page.locator("#credentials").fill("wrong")
    page.locator("#sign-in-form button").click()
    expect(page.locator("#sign-in-error")).not_to_be_empty()
    assert violations(page) == []
    sign_in(page, app)
    put_question(page)
    assert violations(page) == []
    compare_example(page)
    assert violations(page) == []
    tab(page, "batches")
    page.locator("#batch-form button").click()
    expect(page.locator("#batch-error")).not_to_be_empty()
    assert violations(page) == []
    tab(page, "stage")
    expect(page.locator("#deployed table")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("language", ["en-GB", "ru-RU"])
def test_it_fits_a_phone(open_page: OpenPage, app: LocalApp, language: str) -> None:
    page = open_page(
        viewport={"width": 320, "height": 740}, has_touch=True, is_mobile=True, locale=language
    )
    assert_fits(page)
    sign_in(page, app)
    put_question(page)
    assert_fits(page)
    compare_example(page)
    assert_fits(page)
    tab(page, "batches")
    assert_fits(page)
    tab(page, "stage")
    expect(page.locator("#deployed table")).to_be_visible()
    assert_fits(page)
    small = page.evaluate(
        "[...document.querySelectorAll('button, select, input')].filter((e) => e.offsetParent"
        " && e.type !== 'checkbox' && e.getBoundingClientRect().height < 44).map((e) => e.id)"
    )
    assert small == []


def assert_fits(page: Page) -> None:
    wide, window = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= window


@pytest.mark.parametrize("path", ["/console", "/console/", "/console/index.html"])
def test_the_address_may_be_written_in_several_ways(signed_in: OpenPage, path: str) -> None:
    put_question(signed_in(path))


class TestOtherWaysToSignIn:
    """The page's part in them: this stage asks for a key."""

    KEYS = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzEXAMPLE+/=")

    def asked(self, page: Page, credentials: str, auth: str) -> Request:
        configuration = {"auth": auth, "region": "eu-west-1"}
        page.route("**/config.json", lambda route: route.fulfill(json=configuration))
        page.reload()
        page.locator("#credentials").fill(credentials)
        with page.expect_request("**/endpoints") as caught:
            page.locator("#sign-in-form button").click()
        return caught.value

    def test_with_iam_requests_are_signed(self, open_page: OpenPage) -> None:
        page = open_page()
        key, secret, token = self.KEYS
        exported = {"AccessKeyId": key, "SecretAccessKey": secret, "SessionToken": token}
        request = self.asked(page, json.dumps({"Version": 1, **exported}), "iam")
        sent = request.all_headers()
        assert sent["x-amz-security-token"] == token
        assert sent["authorization"] == self.signed(request.url, sent["x-amz-date"])
        expect(page.locator("#sign-in-hint")).to_contain_text("signed with AWS credentials")

    def signed(self, url: str, at: str) -> str:
        """The header as botocore makes it."""
        request = AWSRequest("GET", url, headers={"X-Amz-Date": at})
        signer = SigV4Auth(Credentials(*self.KEYS), "execute-api", "eu-west-1")
        request.context["timestamp"] = at
        request.headers["X-Amz-Security-Token"] = self.KEYS[2]
        text = signer.string_to_sign(request, signer.canonical_request(request))
        names = signer.signed_headers(signer.headers_to_sign(request))
        return (
            f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={names}, "
            f"Signature={signer.signature(text, request)}"
        )

    def test_with_iam_other_texts_are_no_credentials(self, open_page: OpenPage) -> None:
        page = open_page()
        configuration = {"auth": "iam", "region": "eu-west-1"}
        page.route("**/config.json", lambda route: route.fulfill(json=configuration))
        page.reload()
        page.locator("#credentials").fill("my password")
        page.locator("#sign-in-form button").click()
        expect(page.locator("#sign-in-error")).to_contain_text("No access key and secret key")

    def test_with_jwt_the_token_is_the_bearers(self, open_page: OpenPage) -> None:
        request = self.asked(open_page(), "eyJhbGciOi.e30.c2ln", "jwt")
        assert request.all_headers()["authorization"] == "Bearer eyJhbGciOi.e30.c2ln"


class TestOtherPages:
    ASK = """async ([url, key]) => {
      try {
        const answer = await fetch(url + "/search", {
          method: "POST",
          headers: {"content-type": "application/json", "x-api-key": key},
          body: JSON.stringify({queries: ["Is R supported?"], top_k: 1}),
        });
        return [answer.status, (await answer.json()).results?.length ?? 0];
      } catch (error) {
        return [0, error.name];
      }
    }"""

    @pytest.fixture
    def ask(self, browser: Browser, app: LocalApp) -> Callable[[str, str], list[Any]]:
        def ask(origin: str, key: str) -> list[Any]:
            page = browser.new_page()
            page.goto(origin)
            found = page.evaluate(self.ASK, [app.api["url"], key])
            page.close()
            return found

        return ask

    def test_one_that_the_settings_name_asks_and_reads_refusals(
        self, ask, app: LocalApp, elsewhere: Elsewhere
    ) -> None:
        assert ask(elsewhere.allowed, app.api["api_key"]) == [200, 1]
        assert ask(elsewhere.allowed, "wrong") == [403, 0]

    def test_another_gets_nothing(self, ask, app: LocalApp, elsewhere: Elsewhere) -> None:
        assert ask(elsewhere.foreign, app.api["api_key"]) == [0, "TypeError"]

    def test_none_may_frame_the_console(
        self, browser: Browser, app: LocalApp, elsewhere: Elsewhere
    ) -> None:
        page = browser.new_page()
        page.goto(elsewhere.allowed)
        page.evaluate(
            "(url) => document.body.append(Object.assign(document.createElement('iframe'),"
            " {src: url}))",
            app.api["url"] + "/console",
        )
        page.wait_for_timeout(500)
        assert urlsplit(page.frames[-1].url).path != "/console"
        assert page.frames[-1].locator("#sign-in").count() == 0
        page.close()
