import json
import pathlib
import tempfile
import unittest

from browser import PICTURE, PageTest, expect


class HistoryTests(PageTest):
    @property
    def list(self):
        return self.page.get_by_role("list", name="Conversations")

    def converse(self, text):
        self.button("New conversation").click()
        self.ask(text)
        self.answer()

    def test_survives_reload_with_media(self):
        self.attach(PICTURE)
        self.ask("What is this?")
        self.answer()
        self.page.reload()
        expect(self.answer()).to_contain_text("This is answer 1.")
        expect(self.answer().locator(".statistics")).to_contain_text("E4B")
        picture = self.page.get_by_role("img", name="picture.png")
        expect(picture).to_be_visible()
        self.assertGreater(picture.evaluate("node => node.naturalWidth"), 0)
        self.ask("And now?")
        self.answer(1)
        self.assertTrue(self.server.requests[1]["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,"))

    def test_answer_cut_by_leaving_is_a_stopped_one(self):
        self.ask("slow")
        expect(self.page.get_by_role("article", name="Gemma")).to_contain_text("one more word " * 50)
        self.page.reload()
        expect(self.answer()).to_contain_text("Stopped.")
        expect(self.answer()).to_contain_text("one more word")

    def test_list_search_rename_delete(self):
        for text in ["about apples", "about pears", "about plums"]:
            self.converse(text)
        expect(self.list.get_by_role("listitem")).to_have_count(3)
        self.page.get_by_role("searchbox", name="Search conversations").fill("pears you sent")
        expect(self.list.get_by_role("listitem")).to_have_count(1)
        self.list.get_by_role("button", name="about pears").first.click()
        expect(self.page.get_by_role("article", name="You")).to_have_text("about pears")
        self.button("Rename about pears").click()
        self.page.get_by_label("Title", exact=True).fill("Fruit")
        self.page.keyboard.press("Enter")
        self.page.get_by_role("searchbox", name="Search conversations").fill("")
        expect(self.page.get_by_role("heading", name="Fruit", level=1)).to_be_visible()
        self.button("Delete Fruit").click()
        expect(self.list.get_by_role("listitem")).to_have_count(2)
        expect(self.page.get_by_text("What would you like to know?")).to_be_visible()
        self.button("Undo").click()
        expect(self.list.get_by_role("listitem")).to_have_count(3)
        self.page.reload()
        expect(self.list).to_contain_text("Fruit")

    def test_deleted_while_answering(self):
        self.ask("slow")
        expect(self.page.get_by_role("article", name="Gemma")).to_contain_text("one more word " * 40)
        self.button("Delete slow").click()
        expect(self.page.get_by_text("“slow” is deleted.")).to_be_visible()
        self.assertTrue(self.server.aborted.wait(10), "the server was not told")
        expect(self.list.get_by_role("listitem")).to_have_count(0)
        self.page.reload()
        expect(self.page.get_by_text("Conversations are kept in this browser.")).to_be_visible()

    def test_export_and_import(self):
        self.attach(PICTURE)
        self.ask("What is this?")
        self.answer()
        with self.page.expect_download() as download:
            self.button("Export What is this?").click()
        exported = json.loads(pathlib.Path(download.value.path()).read_text())
        self.assertEqual([message["role"] for message in exported["messages"]], ["user", "assistant"])
        self.assertEqual(exported["messages"][0]["content"][0]["type"], "image_url")
        self.converse("something else")
        with self.page.expect_download() as download:
            self.button("Export all").click()
        self.assertEqual(len(json.loads(pathlib.Path(download.value.path()).read_text())["conversations"]), 2)

        other = self.new_context()
        self.page = other.new_page()
        self.page.goto(self.server.address)
        self.page.set_input_files("#import-file", str(download.value.path()))
        expect(self.list.get_by_role("listitem")).to_have_count(2)
        self.list.get_by_role("button", name="What is this?").first.click()
        self.assertGreater(self.page.get_by_role("article", name="You").get_by_role("img").evaluate(
            "node => node.decode().then(() => node.naturalWidth)"), 0)
        other.close()

    def test_file_that_cannot_be_imported(self):
        cases = {
            "text.json": ("hello", "the file is not JSON"),
            "role.json": ('[{"role": "robot", "content": "hi"}]', 'messages[0].role is "robot"'),
            "web.json": ('{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]}]}',
                         "messages[0].content[0] points to the web"),
            "number.json": ("7", "“messages” is not a list"),
        }
        with tempfile.TemporaryDirectory() as folder:
            for name, (text, sentence) in cases.items():
                file = pathlib.Path(folder) / name
                file.write_text(text)
                self.page.set_input_files("#import-file", str(file))
                expect(self.page.locator("#notices")).to_contain_text(sentence)

    def test_imports_messages_of_the_api(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "request.json"
            file.write_text(json.dumps({"model": "any", "messages": [
                {"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"},
                {"role": "assistant", "content": None, "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "a", "content": "done"}, {"role": "assistant", "content": "It is done."}]}))
            self.page.set_input_files("#import-file", str(file))
        expect(self.answer()).to_contain_text("It is done.")
        self.ask("thanks")
        self.answer(2)
        self.assertEqual([message["role"] for message in self.server.requests[0]["messages"]],
                         ["system", "user", "assistant", "tool", "assistant", "user"])


if __name__ == "__main__":
    unittest.main()
