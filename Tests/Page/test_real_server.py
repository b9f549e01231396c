"""The page before `gemma3n serve` with the demo model: .build/release/gemma3n, or the program that GEMMA3N names."""

import os
import re
import signal
import subprocess
import unittest

from browser import PICTURE, ROOT, SPEECH, PageTest, expect

PROGRAM = os.environ.get("GEMMA3N") or str(ROOT / ".build" / "release" / "gemma3n")


def can_serve():
    try:
        return subprocess.run([PROGRAM, "serve", "--help"], capture_output=True).returncode == 0
    except OSError:
        return False


class RealServer:
    def __init__(self, *options):
        self.process = subprocess.Popen([PROGRAM, "serve", "--port", "0", "--log-level", "error", *options],
                                        stdout=subprocess.PIPE, text=True)
        self.address = re.search(r"http://\S+", self.process.stdout.readline())[0].rstrip("/") + "/"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.process.stdout.close()


@unittest.skipUnless(can_serve(), f"{PROGRAM} is not built, or without its server")
class RealServerTests(PageTest):
    def make_server(self):
        return RealServer()

    def test_picture_and_sound(self):
        self.attach(PICTURE)
        self.ask("What do you see?")
        expect(self.answer()).to_contain_text("a purple circle and a green triangle")
        expect(self.answer().locator(".statistics")).to_contain_text("tokens/s")
        self.button("New conversation").click()
        self.attach(SPEECH)
        self.ask("What is said?")
        expect(self.answer()).to_contain_text("red blue left one")

    def test_sizes(self):
        slider = self.page.get_by_role("slider", name="Size")
        expect(slider).to_be_visible()
        slider.focus()
        self.page.keyboard.press("Home")
        size = slider.get_attribute("aria-valuetext").split(",")[0]
        self.ask("What is the capital of France?")
        expect(self.answer().locator(".statistics")).to_contain_text(size)

    def test_shape(self):
        self.options("Shape")
        self.page.get_by_role("textbox", name="JSON Schema").fill(
            '{"type": "object", "properties": {"shapes": {"enum": ["one", "two"]}}, "required": ["shapes"], "additionalProperties": false}')
        self.page.get_by_label("Answers keep to this JSON Schema").check()
        self.ask("How many?")
        expect(self.answer().get_by_role("row", name=re.compile("shapes (one|two)"))).to_be_visible()

    def test_policy(self):
        answer = self.context.request.get(self.server.address, headers={"accept": "text/html"})
        self.assertIn("default-src 'none'", answer.headers["content-security-policy"])
        self.assertIn("frame-ancestors 'none'", answer.headers["content-security-policy"])
        self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")


@unittest.skipUnless(can_serve(), f"{PROGRAM} is not built, or without its server")
class RealKeyTests(PageTest):
    expected_errors = ("Failed to load resource",)

    def make_server(self):
        return RealServer("--api-key", "open sesame")

    def test_key(self):
        self.page.get_by_label("API key").fill("open sesame")
        self.button("Use this key").click()
        self.attach(PICTURE)
        self.ask("What do you see?")
        expect(self.answer()).to_contain_text("a purple circle and a green triangle")


if __name__ == "__main__":
    unittest.main()
