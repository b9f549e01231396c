import json
import unittest

from browser import PageTest, expect


class ShapeTests(PageTest):
    server_options = {"delay": 0.02}

    def test_schema_is_sent_and_the_answer_is_a_table(self):
        self.options("Shape")
        self.page.get_by_label("Start from").select_option("a person")
        expect(self.page.get_by_label("Answers keep to this JSON Schema")).to_be_checked()
        self.ask("Who wrote Faust?")
        answer = self.page.get_by_role("article", name="Gemma")
        expect(answer.get_by_role("row", name="name Johann")).to_be_visible()
        expect(answer).to_have_attribute("aria-busy", "true")
        answer = self.answer()
        expect(answer.get_by_role("row", name="born 1749")).to_be_visible()
        expect(answer.get_by_role("columnheader", name="town")).to_be_visible()
        expect(answer.get_by_role("cell", name="Weimar", exact=True)).to_be_visible()
        answer.get_by_role("button", name="JSON").click()
        expect(answer.locator("pre")).to_contain_text('"born": 1749')
        shape = self.server.requests[0]["response_format"]
        self.assertEqual(shape["type"], "json_schema")
        self.assertEqual(shape["json_schema"]["schema"]["required"], ["name", "born", "works"])

    def test_schema_that_is_no_json(self):
        self.options("Shape")
        self.page.get_by_label("Answers keep to this JSON Schema").check()
        field = self.page.get_by_role("textbox", name="JSON Schema")
        field.fill('{"type": ')
        expect(self.page.locator("#schema-state")).to_contain_text("JSON")
        expect(field).to_have_attribute("aria-invalid", "true")
        self.ask("hello")
        expect(self.page.get_by_role("alert").filter(has_text="The JSON Schema cannot be read")).to_be_visible()
        self.assertEqual(self.server.requests, [])
        field.fill('{"type": "object"}')
        self.button("Try again").click()
        expect(self.answer()).to_contain_text("Goethe")

    def test_mode_is_shown_beside_the_question(self):
        self.options("Shape")
        self.page.get_by_label("Answers keep to this JSON Schema").check()
        self.button("Close options").click()
        self.button("Shape").click()
        expect(self.page.get_by_role("tab", name="Shape")).to_be_focused()


class ToolTests(PageTest):
    def test_built_in_tools_run_in_the_page(self):
        self.options("Tools")
        self.page.get_by_label("Calculator").check()
        self.page.get_by_label("Current time").check()
        self.ask("What is (3 + 4) * 2.5?")
        expect(self.page.get_by_role("article", name="Gemma")).to_have_count(2)
        expect(self.answer()).to_contain_text("The result is 17.5; ")
        card = self.page.get_by_role("region", name="Tool call").first
        expect(card).to_contain_text("calculate")
        expect(card).to_contain_text("17.5")
        first, second = self.server.requests
        self.assertEqual([tool["function"]["name"] for tool in first["tools"]], ["calculate", "current_time"])
        self.assertEqual(first["tool_choice"], "auto")
        call = second["messages"][1]["tool_calls"][0]
        self.assertEqual((call["id"], json.loads(call["function"]["arguments"])), ("call_calculate", {"expression": "(3 + 4) * 2.5"}))
        self.assertEqual(second["messages"][2], {"role": "tool", "tool_call_id": "call_calculate", "content": "17.5"})

    def test_mistake_of_a_call_is_told_to_the_model(self):
        self.options("Tools")
        self.page.get_by_label("Calculator").check()
        self.ask("wrong")
        expect(self.page.get_by_role("article", name="Gemma")).to_have_count(2)
        expect(self.answer()).to_contain_text("error: expected a number, found the end")

    def test_own_tool_waits_for_the_user(self):
        self.options("Tools")
        self.button("Insert an example").click()
        expect(self.page.locator("#tools-state")).to_have_text("Offers weather")
        self.page.get_by_label("The model", exact=True).select_option("required")
        self.ask("What is the weather in Zürich?")
        result = self.page.get_by_role("textbox", name="Result of weather")
        expect(result).to_be_visible()
        expect(self.page.get_by_role("region", name="Tool call")).to_contain_text('"place": "Zürich"')
        result.fill("sunny, 21 °C")
        self.button("Give result").click()
        expect(self.page.get_by_role("article", name="Gemma")).to_have_count(2)
        expect(self.answer()).to_contain_text("The result is sunny, 21 °C.")
        self.assertEqual(self.server.requests[0]["tool_choice"], "required")

    def test_question_instead_of_a_result(self):
        self.options("Tools")
        self.button("Insert an example").click()
        self.ask("weather?")
        expect(self.page.get_by_role("textbox", name="Result of weather")).to_be_visible()
        self.page.get_by_label("The model", exact=True).select_option("none")
        self.ask("never mind")
        expect(self.page.get_by_role("article", name="Gemma")).to_have_count(2)
        expect(self.page.get_by_role("textbox", name="Result of weather")).to_have_count(0)
        self.answer()
        self.assertEqual(self.server.requests[1]["messages"][2]["content"], "No result was given.")

    def test_definitions_are_checked(self):
        self.options("Tools")
        field = self.page.get_by_role("textbox", name="Your own tools, as JSON")
        field.fill('[{"description": "nameless"}]')
        expect(self.page.locator("#tools-state")).to_contain_text("Tool 1 needs a “name”")
        self.ask("hello")
        expect(self.page.get_by_role("alert").filter(has_text="Your tools cannot be read")).to_be_visible()


if __name__ == "__main__":
    unittest.main()
