"""One headless Chromium for all tests, and what every test of the page watches: no error, no request to another host."""

import os
import pathlib
import shutil
import unittest
from urllib.parse import urlsplit

from playwright.sync_api import expect, sync_playwright

from fake_server import FakeServer

ROOT = pathlib.Path(__file__).resolve().parents[2]
PICTURE = ROOT / "Demo" / "picture.png"
SPEECH = ROOT / "Demo" / "speech.wav"
VIDEO = ROOT / "Demo" / "video.mp4"

expect.set_options(timeout=30_000)


class Browser:
    """Started with the first test, closed with the last."""

    chromium = None

    @classmethod
    def get(cls):
        if cls.chromium is None:
            cls.playwright = sync_playwright().start()
            path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
            cls.chromium = cls.playwright.chromium.launch(executable_path=path, args=[
                "--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={SPEECH}",
            ])
        return cls.chromium

    @classmethod
    def close(cls):
        if cls.chromium is not None:
            cls.chromium.close()
            cls.playwright.stop()
            cls.chromium = None


class PageTest(unittest.TestCase):
    """`self.page` shows the page of a fake server of its own."""

    #: How the server is made, and errors that the console may hold, such as the status of an answer that is refused on purpose.
    server_options = {}
    context_options = {}
    expected_errors = ()

    def setUp(self):
        self.server = self.make_server()
        self.errors, self.strangers = [], []
        self.context = self.new_context()
        self.page = self.context.new_page()
        self.page.goto(self.server.address)

    def make_server(self):
        return FakeServer(**self.server_options)

    def new_context(self, **options):
        context = Browser.get().new_context(permissions=["microphone", "camera"], accept_downloads=True, **{
            "viewport": {"width": 1280, "height": 860}, **self.context_options, **options})
        context.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("request", self.check_request)
        return context

    def check_request(self, request):
        url = urlsplit(request.url)
        if url.scheme not in ("blob", "data") and f"{url.scheme}://{url.netloc}/" != self.server.address:
            self.strangers.append(request.url)

    def tearDown(self):
        self.context.close()
        self.server.stop()
        unexpected = [error for error in self.errors if not any(known in error for known in self.expected_errors)]
        self.assertEqual(unexpected, [])
        self.assertEqual(self.strangers, [], "requests to other hosts")

    def ask(self, text):
        self.page.get_by_role("textbox", name="Your question").fill(text)
        self.page.keyboard.press("Enter")

    def attach(self, *files):
        self.page.set_input_files("#files", [str(file) for file in files])
        for file in files:
            expect(self.button(f"Remove {file.name}")).to_be_visible()

    def answer(self, index=-1):
        """The answer at a place, once it is whole."""
        answers = self.page.get_by_role("article", name="Gemma")
        answer = answers.last if index == -1 else answers.nth(index)
        expect(answer).to_have_attribute("aria-busy", "false")
        return answer

    def button(self, name, exact=True):
        return self.page.get_by_role("button", name=name, exact=exact)

    def options(self, tab):
        if not self.page.get_by_role("complementary", name="Options").is_visible():
            self.button("Options").click()
        self.page.get_by_role("tab", name=tab).click()
