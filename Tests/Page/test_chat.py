import re
import unittest

from browser import PageTest, expect


class ChatTests(PageTest):
    def test_answer_is_streamed_and_rendered(self):
        self.ask("Why is the sky blue?")
        answer = self.answer()
        expect(answer.get_by_role("heading", name="Why the sky is blue")).to_be_visible()
        expect(answer.locator("strong", has_text="white")).to_be_visible()
        expect(answer.locator("ol > li")).to_have_count(2)
        expect(answer.locator("ol ul > li")).to_have_count(2)
        expect(answer.locator("tbody tr")).to_have_count(2)
        expect(answer.locator("blockquote")).to_have_text("The same law colours the eyes of a newborn child.")
        link = answer.get_by_role("link", name="Rayleigh")
        self.assertEqual(link.get_attribute("rel"), "noopener noreferrer")
        expect(answer).to_contain_text("<img src=x onerror=")
        self.assertEqual(answer.locator("img").count(), 0)
        self.assertEqual(self.page.title(), "Why is the sky blue? – Gemma 3n")

    def test_code_is_copied(self):
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.ask("sky")
        self.answer().get_by_role("button", name="Copy", exact=True).click()
        expect(self.button("Copied")).to_be_visible()
        self.assertEqual(self.page.evaluate("navigator.clipboard.readText()"),
                         "def scattering(wavelength):\n    return 1 / wavelength ** 4")

    def test_statistics(self):
        self.ask("hello")
        facts = self.answer().locator(".statistics")
        for fact in ["gemma-3n-E4B-it · E4B", "server", "tokens/s", "7 tokens", "first after", "160 in"]:
            expect(facts).to_contain_text(fact)
        self.ask("again")
        expect(self.answer(1).locator(".statistics")).to_contain_text("120 cached")

    def test_stop(self):
        self.ask("slow")
        answer = self.page.get_by_role("article", name="Gemma")
        expect(answer).to_contain_text("one more word one more word")
        self.button("Stop answering").click()
        expect(self.answer()).to_contain_text("Stopped.")
        expect(answer.locator(".statistics")).to_contain_text("about")
        self.assertTrue(self.server.aborted.wait(5), "the server was not told")
        self.ask("hello")
        expect(self.answer(1)).to_contain_text("You sent text.")
        self.assertIn("one more word", self.server.requests[-1]["messages"][1]["content"])

    def test_escape_stops(self):
        self.ask("slow")
        expect(self.page.get_by_role("article", name="Gemma")).to_contain_text("one more")
        self.page.keyboard.press("Escape")
        expect(self.answer()).to_contain_text("Stopped.")

    def test_shift_enter_starts_a_line(self):
        self.page.get_by_role("textbox", name="Your question").press_sequentially("one")
        self.page.keyboard.press("Shift+Enter")
        self.page.keyboard.type("two")
        self.page.keyboard.press("Enter")
        self.answer()
        self.assertEqual(self.server.requests[0]["messages"], [{"role": "user", "content": "one\ntwo"}])
        self.assertTrue(self.server.requests[0]["stream"])
        self.assertEqual(self.server.requests[0]["stream_options"], {"include_usage": True})

    def test_conversation_is_named_to_balancers(self):
        self.ask("hello")
        self.answer()
        self.ask("more")
        self.answer(1)
        self.button("New conversation").click()
        self.ask("other")
        self.answer()
        first, second, third = self.server.conversations
        self.assertTrue(first == second != third and len(third) >= 32)
        self.assertEqual(self.server.requests[0]["prompt_cache_key"], first)

    def test_answer_again(self):
        self.ask("hello")
        expect(self.answer()).to_contain_text("This is answer 1.")
        self.button("Answer again").click()
        expect(self.answer()).to_contain_text("This is answer 2.")
        self.assertEqual(self.page.get_by_role("article", name="Gemma").count(), 1)
        self.assertEqual(self.server.requests[0]["messages"], self.server.requests[1]["messages"])

    def test_last_question_is_changed(self):
        self.ask("first")
        self.answer()
        self.ask("secnod")
        self.answer(1)
        self.button("Change this question").click()
        question = self.page.get_by_role("textbox", name="Your question")
        expect(question).to_have_value("secnod")
        self.page.keyboard.press("Escape")
        expect(question).to_have_value("")
        self.page.keyboard.press("ArrowUp")
        expect(question).to_have_value("secnod")
        question.fill("second")
        self.page.keyboard.press("Enter")
        expect(self.answer(1)).to_contain_text("This is answer 3.")
        self.assertEqual([message["content"] for message in self.server.requests[2]["messages"] if message["role"] == "user"],
                         ["first", "second"])

    def test_settings_are_sent_and_kept(self):
        self.options("Settings")
        for label, value in [("Temperature", "0.5"), ("Top p", "0.9"), ("Top k", "40"), ("Seed", "7"), ("Most tokens", "50")]:
            self.page.get_by_label(label, exact=True).fill(value)
        self.page.get_by_label("Instructions for this conversation").fill("Be brief.")
        self.ask("hello")
        self.answer()
        request = self.server.requests[0]
        wanted = {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "seed": 7, "max_completion_tokens": 50, "model": "gemma-3n-E4B-it"}
        self.assertEqual({name: request[name] for name in wanted}, wanted)
        self.assertEqual(request["messages"][0], {"role": "system", "content": "Be brief."})
        self.page.reload()
        self.options("Settings")
        expect(self.page.get_by_label("Seed", exact=True)).to_have_value("7")
        self.page.get_by_label("Temperature", exact=True).fill("9")
        self.ask("more")
        expect(self.page.get_by_role("alert").filter(has_text="Temperature").first).to_be_visible()
        self.assertEqual(len(self.server.requests), 1)

    def test_size_slider(self):
        slider = self.page.get_by_role("slider", name="Size")
        expect(slider).to_have_attribute("aria-valuetext", "E4B, 3.98 B parameters")
        slider.focus()
        for _ in range(4):
            self.page.keyboard.press("ArrowLeft")
        expect(slider).to_have_attribute("aria-valuetext", "E2B, 1.91 B parameters")
        self.ask("hello")
        expect(self.answer().locator(".statistics")).to_contain_text("gemma-3n-E4B-it · E2B")
        box = slider.bounding_box()
        self.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        expect(slider).to_have_attribute("aria-valuetext", "E2.98B, 2.97 B parameters")
        self.button("Answer again").click()
        expect(self.answer().locator(".statistics")).to_contain_text("E2.98B")
        self.assertEqual([request["size"] for request in self.server.requests], ["E2B", "E2.98B"])
        self.page.reload()
        expect(slider).to_have_attribute("aria-valuetext", re.compile("E2.98B"))

    def test_long_answer_keeps_its_end_in_sight(self):
        self.ask("say: " + "a line  \n\n" * 200 + "the end")
        self.answer()
        expect(self.page.get_by_text("the end").last).to_be_in_viewport()
        self.page.locator("#scroll").evaluate("node => { node.scrollTop = 0; }")
        self.button("Scroll to the latest").click()
        expect(self.page.get_by_text("the end").last).to_be_in_viewport()


class OtherModelTests(PageTest):
    server_options = {"sizes": False, "models": 2}

    def test_model_of_one_size_has_no_slider(self):
        expect(self.page.get_by_role("combobox", name="Model")).to_be_visible()
        expect(self.page.locator("#size")).to_be_hidden()
        self.page.get_by_role("combobox", name="Model").select_option("gemma-3n-E2B-it")
        self.ask("hello")
        self.answer()
        self.assertEqual(self.server.requests[0]["model"], "gemma-3n-E2B-it")
        self.assertNotIn("size", self.server.requests[0])


if __name__ == "__main__":
    unittest.main()
