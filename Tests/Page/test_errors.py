import unittest

from browser import PageTest, expect


class ErrorTests(PageTest):
    expected_errors = ("Failed to load resource",)

    def test_busy_server_names_a_time(self):
        self.ask("busy")
        alert = self.page.get_by_role("alert").filter(has_text="Eight conversations are waiting already.")
        expect(alert).to_be_visible()
        expect(alert.get_by_role("button")).to_be_disabled()
        expect(alert.get_by_role("button")).to_contain_text("Try again in")
        self.server.is_busy = False
        expect(alert.get_by_role("button")).to_be_enabled()
        alert.get_by_role("button", name="Try again").click()
        expect(self.answer()).to_contain_text("This is answer 2.")

    def test_conversation_that_is_too_long(self):
        self.ask("full")
        alert = self.page.get_by_role("alert").filter(has_text="the context holds 8192")
        expect(alert).to_contain_text("A new conversation, a shorter question or fewer media will fit.")

    def test_connection_that_breaks(self):
        self.ask("drop")
        answer = self.answer()
        expect(answer).to_contain_text("The first half of an answer")
        expect(answer).to_contain_text("The connection broke before the answer was whole.")
        expect(answer.get_by_role("button", name="Try again")).to_be_enabled()

    def test_server_that_is_gone(self):
        expect(self.page.locator("#model-name")).to_have_text("gemma-3n-E4B-it")
        self.server.stop()
        self.ask("hello")
        expect(self.page.get_by_role("alert").filter(has_text="The server does not answer.")).to_be_visible()
        expect(self.page.get_by_role("article", name="You")).to_have_text("hello")


class KeyTests(PageTest):
    server_options = {"key": "open sesame"}
    expected_errors = ("Failed to load resource",)

    def test_key_is_asked_for_and_kept_for_the_tab(self):
        dialog = self.page.get_by_role("dialog", name="This server asks for a key")
        expect(dialog).to_be_visible()
        expect(dialog).to_contain_text("This server needs its key.")
        self.page.get_by_label("API key").fill("wrong")
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_label("API key")).to_have_value("")
        self.page.get_by_label("API key").fill("open sesame")
        self.button("Use this key").click()
        expect(self.page.locator("#model-name")).to_have_text("gemma-3n-E4B-it")
        self.ask("hello")
        expect(self.answer()).to_contain_text("This is answer 1.")
        self.page.reload()
        expect(self.page.locator("#model-name")).to_have_text("gemma-3n-E4B-it")
        self.assertNotIn("open sesame", str(self.context.storage_state()))

    def test_question_waits_for_the_key(self):
        self.button("Cancel").click()
        self.ask("hello")
        dialog = self.page.get_by_role("dialog", name="This server asks for a key")
        expect(dialog).to_be_visible()
        self.page.get_by_label("API key").fill("open sesame")
        self.page.keyboard.press("Enter")
        expect(self.answer()).to_contain_text("This is answer 1.")
        self.assertEqual(self.page.get_by_role("article", name="Gemma").count(), 1)


if __name__ == "__main__":
    unittest.main()
