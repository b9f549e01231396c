"""The page's modules that compute, called in the browser."""

import json
import unittest

from browser import PageTest


class ModuleTests(PageTest):
    def call(self, module, expression, argument=None):
        return self.page.evaluate(f"async (argument) => {{ const module = await import('/{module}'); return ({expression}); }}", argument)

    def html(self, text):
        return self.call("markdown.js", """(() => {
            const root = document.createElement("div");
            const view = new module.MarkdownView(root);
            for (let end = 0; end <= argument.length; end += 1) view.update(argument.slice(0, end));
            return root.innerHTML;
        })()""", text)

    def test_markdown(self):
        cases = {
            "plain": "<p>plain</p>",
            "a *b* **c** ***d*** `e*f*`": "<p>a <em>b</em> <strong>c</strong> <strong><em>d</em></strong> <code>e*f*</code></p>",
            "**bold _inside_ it**": "<p><strong>bold <em>inside</em> it</strong></p>",
            "snake_case_name and 2 * 3 * 4": "<p>snake_case_name and 2 * 3 * 4</p>",
            "**open": "<p>**open</p>",
            r"\*no\*": "<p>*no*</p>",
            "one\ntwo\n\nthree": "<p>one<br>two</p><p>three</p>",
            "# Title #": "<h3>Title</h3>",
            "- a\n- b\n  - c\n\nend": "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul><p>end</p>",
            "3. c\n4. d": '<ol start="3"><li>c</li><li>d</li></ol>',
            "- a\n\n  more": "<ul><li><p>a</p><p>more</p></li></ul>",
            "> quoted\n> > twice": "<blockquote><p>quoted</p><blockquote><p>twice</p></blockquote></blockquote>",
            "---": "<hr>",
            "<script>alert(1)</script>": "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>",
            "[x](javascript:alert(1))": "<p>[x](javascript:alert(1))</p>",
            "[x](https://a.example/b)": '<p><a href="https://a.example/b" target="_blank" rel="noopener noreferrer">x</a></p>',
            "![x](https://a.example/b.png)": '<p><a href="https://a.example/b.png" target="_blank" rel="noopener noreferrer">x</a></p>',
            "[1] and [x](https://a.example/b_(c) \"title\")":
                '<p>[1] and <a href="https://a.example/b_(c)" target="_blank" rel="noopener noreferrer">x</a></p>',
            "see https://a.example/b.": '<p>see <a href="https://a.example/b" target="_blank" rel="noopener noreferrer">https://a.example/b</a>.</p>',
        }
        for text, wanted in cases.items():
            with self.subTest(text):
                self.assertEqual(self.html(text), wanted)

    def test_code_and_tables(self):
        self.assertIn("<code>a\n\nb</code>", self.html("```\na\n\nb\n```\nafter"))
        self.assertIn("<code>open</code>", self.html("```js\nopen"))
        self.assertIn("<td>1</td><td><strong>2</strong></td>", self.html("| a | b |\n|---|---|\n| 1 | **2** |"))

    def test_markdown_of_hostile_text_ends(self):
        for text in ["*" * 50_000, "[" * 50_000, "**a " * 20_000, "`" * 50_000, "> " * 20_000, "- " * 20_000, "_a" * 30_000,
                     "[a](" * 20_000, "https://" * 10_000, "|a" * 20_000 + "\n|---|", "\n".join(" " * (i % 60) + "- x" for i in range(3000))]:
            with self.subTest(text[:10]):
                self.assertGreater(self.call("markdown.js", """(() => {
                    const root = document.createElement("div");
                    new module.MarkdownView(root).update(argument);
                    return root.childNodes.length;
                })()""", text), 0)

    def test_only_what_grows_is_made_again(self):
        kept = self.call("markdown.js", """(() => {
            const root = document.createElement("div");
            const view = new module.MarkdownView(root);
            view.update("first\\n\\nsec");
            const first = root.firstChild;
            view.update("first\\n\\nsecond\\n\\nthird");
            return root.firstChild === first && root.children.length === 3;
        })()""")
        self.assertTrue(kept)

    def test_every_beginning_of_json(self):
        whole = {"a": "x\"\\é\n😀", "b": [1, -2.5e3, {"c": None}], "d": {}, "e": [], "f": True, "g": False}
        text = json.dumps(whole)
        found = self.call("partial.js", "[...argument].map((_, end) => module.parsePartial(argument.slice(0, end)))", text)
        self.assertTrue(all(not state["complete"] for state in found))
        self.assertEqual(self.call("partial.js", "module.parsePartial(argument)", text), {"value": whole, "complete": True})
        self.assertEqual(self.call("partial.js", "module.parsePartial(argument)", '{"a": "one", "b": [1, {"c": "tw')["value"],
                         {"a": "one", "b": [1, {"c": "tw"}]})

    def test_what_is_no_beginning_of_json(self):
        for text in ["{a", "[1 2", '{"a" 1', "nil", "}", '"a" b', "[" * 1000, "tru x"]:
            with self.subTest(text[:10]):
                self.assertEqual(self.call("partial.js", """(() => {
                    try { return module.parsePartial(argument); } catch (error) { return error.name; }
                })()""", text), "SyntaxError")

    def test_calculator(self):
        cases = {"1 + 2 * 3": 7, "(3 + 4) * 2.5": 17.5, "-2 ^ 2": -4, "2 ^ 3 ^ 2": 512, "10 % 4 / 2": 1, "sqrt(16) + abs(-1)": 5,
                 "2 ** -1": 0.5, "1e3": 1000, ".5 × 4": 2}
        for text, wanted in cases.items():
            with self.subTest(text):
                self.assertEqual(self.call("calculator.js", "module.calculate(argument)", text), wanted)
        for text, sentence in {"1 +": "expected a number, found the end", "(1": "expected “)”", "1 2": "expected the end, found “2”",
                               "constructor(1)": "expected a number", "": "expected a number", "(" * 5000: "levels deep"}.items():
            with self.subTest(text[:10]):
                self.assertIn(sentence, self.call("calculator.js", """(() => {
                    try { return String(module.calculate(argument)); } catch (error) { return error.message; }
                })()""", text))

    def test_events_in_any_pieces(self):
        bytes_ = list("data: a\r\n\r\n: ping\n\ndata: b1\ndata:b2\n\nevent: x\ndata: é\n\ndata: cut".encode())
        for size in [1, 2, 3, 7, 1000]:
            with self.subTest(size):
                self.assertEqual(self.call("events.js", """(async () => {
                    const [bytes, size] = argument;
                    const stream = new ReadableStream({ start(controller) {
                        for (let at = 0; at < bytes.length; at += size) controller.enqueue(new Uint8Array(bytes.slice(at, at + size)));
                        controller.close();
                    } });
                    const found = [];
                    for await (const data of module.eventData(stream)) found.push(data);
                    return found;
                })()""".join(["await ", ""]), [bytes_, size]), ["a", "b1\nb2", "é"])


if __name__ == "__main__":
    unittest.main()
