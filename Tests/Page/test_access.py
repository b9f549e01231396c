import unittest

from browser import PICTURE, PageTest, expect

#: Every visible text's contrast with what lies behind it; returns those under WCAG AA.
CONTRAST = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgba = colour => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
    const behind = node => {
        const layers = [];
        for (let at = node; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
        return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255, 1]);
    };
    const light = colour => colour.slice(0, 3).map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
    const faint = [];
    let count = 0;
    const check = (node, colour, text, wanted) => {
        count += 1;
        const ground = behind(node);
        const found = ratio(over(rgba(colour), ground), ground);
        if (found < wanted) faint.push(`${found.toFixed(2)} ${text.slice(0, 40)}`);
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        const text = walker.currentNode.data.trim();
        if (!text || !node.checkVisibility({ visibilityProperty: true }) || node.closest("button:disabled, .offscreen, .skip, option")) continue;
        const style = getComputedStyle(node);
        const size = parseFloat(style.fontSize);
        check(node, style.color, text, size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5);
    }
    for (const field of document.querySelectorAll("input, textarea, select")) {
        if (!field.checkVisibility()) continue;
        if (field.placeholder) check(field, getComputedStyle(field, "::placeholder").color, field.placeholder, 4.5);
        const border = getComputedStyle(field).borderTopColor;
        if (parseFloat(getComputedStyle(field).borderTopWidth) > 0) check(field.parentElement, border, "edge of " + field.id, 3);
    }
    for (const icon of document.querySelectorAll(".icon")) {
        if (icon.checkVisibility() && !icon.closest("button:disabled")) check(icon.parentElement, getComputedStyle(icon).color, "icon", 3);
    }
    return { faint, count };
}"""

ROLES = {"button", "textbox", "searchbox", "combobox", "slider", "checkbox", "spinbutton", "tab", "link", "dialog", "navigation",
         "complementary", "log", "article", "form", "img", "list", "tabpanel", "group", "timer", "meter"}


class AccessTests(PageTest):
    def fill_the_page(self):
        """A conversation with all that the page can show, and the options beside it."""
        self.attach(PICTURE)
        self.ask("sky")
        self.answer()
        self.options("Tools")
        self.button("Insert an example").click()
        self.ask("weather")
        expect(self.page.get_by_role("textbox", name="Result of weather")).to_be_visible()
        self.page.get_by_role("textbox", name="Result of weather").fill("rain")
        self.button("Give result").click()
        expect(self.page.get_by_role("article", name="Gemma")).to_have_count(3)
        self.page.get_by_label("The model", exact=True).select_option("none")
        self.options("Shape")
        self.page.get_by_label("Start from").select_option("a person")
        self.ask("Goethe")
        self.answer(3)
        self.attach(PICTURE)

    def check_contrast(self):
        found = self.page.evaluate(CONTRAST)
        self.assertEqual(found["faint"], [])
        return found["count"]

    def test_contrast_of_every_text_in_light_and_dark(self):
        self.fill_the_page()
        for scheme in ["light", "dark"]:
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for tab in ["Settings", "Shape", "Tools"]:
                self.options(tab)
                self.assertGreater(self.check_contrast(), 60)

    def test_contrast_of_errors_and_dialogs(self):
        self.server.stop()
        self.expected_errors = ("Failed to load resource",)
        self.ask("hello")
        expect(self.page.get_by_role("alert")).to_be_visible()
        self.button("Rename hello").click()
        for scheme in ["light", "dark"]:
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            self.check_contrast()

    def test_everything_has_a_name(self):
        self.fill_the_page()
        for tab in ["Settings", "Shape", "Tools"]:
            self.options(tab)
            session = self.context.new_cdp_session(self.page)
            nodes = session.send("Accessibility.getFullAXTree")["nodes"]
            nameless = [node["role"]["value"] for node in nodes
                        if not node.get("ignored") and node["role"]["value"] in ROLES
                        and not node.get("name", {}).get("value") and not self.may_be_nameless(node)]
            self.assertEqual(nameless, [])
            found = {node["role"]["value"] for node in nodes if not node.get("ignored")}
            self.assertLessEqual({"main", "navigation", "complementary", "log", "article", "form", "slider", "tab", "status"}, found)
        identifiers = self.page.evaluate("[...document.querySelectorAll('[id]')].map(node => node.id)")
        self.assertEqual(len(identifiers), len(set(identifiers)))
        self.assertEqual(self.page.locator("h1").count(), 1)

    def may_be_nameless(self, node):
        """Lists of an answer, and groups that a browser makes itself, are what they hold."""
        return node["role"]["value"] in ("list", "group")

    def test_keyboard_alone(self):
        """Every control is reached by Tab, shows its focus, and a conversation needs no pointer."""
        self.page.locator(".skip").focus()
        reached = []
        for _ in range(60):
            self.page.keyboard.press("Tab")
            state = self.page.evaluate("""() => {
                const node = document.activeElement, style = getComputedStyle(node);
                return { name: node.id || node.getAttribute("aria-label") || node.textContent.trim() || node.tagName, isBody: node === document.body,
                         shows: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 || node.id === "question" };
            }""")
            if state["isBody"] or state["name"] in reached:
                break
            self.assertTrue(state["shows"], f"focus on {state['name']} cannot be seen")
            reached.append(state["name"])
        for wanted in ["new", "search", "import", "theme", "options-open", "question", "attach", "microphone", "camera", "send", "size-slider"]:
            self.assertIn(wanted, reached)

        self.page.locator("#question").focus()
        self.page.keyboard.type("slow")
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_role("article", name="Gemma")).to_contain_text("one more")
        for _ in range(8):
            if self.page.evaluate("document.activeElement.id") == "stop":
                break
            self.page.keyboard.press("Tab")
        self.page.keyboard.press("Enter")
        expect(self.answer()).to_contain_text("Stopped.")
        expect(self.page.locator("#question")).to_be_focused()

        self.page.locator("#options-open").focus()
        self.page.keyboard.press("Enter")
        self.page.keyboard.press("Tab")
        expect(self.page.get_by_role("tab", name="Settings")).to_be_focused()
        self.page.keyboard.press("ArrowRight")
        expect(self.page.get_by_role("tab", name="Shape")).to_be_focused()
        self.page.keyboard.press("Tab")
        expect(self.page.get_by_label("Answers keep to this JSON Schema")).to_be_focused()
        self.page.keyboard.press("Space")
        expect(self.page.get_by_label("Answers keep to this JSON Schema")).to_be_checked()
        self.page.keyboard.press("Escape")
        expect(self.page.locator("#options")).to_be_hidden()
        expect(self.page.locator("#options-open")).to_be_focused()
        self.page.keyboard.press("Control+Shift+O")
        expect(self.page.get_by_text("What would you like to know?")).to_be_visible()
        expect(self.page.locator("#question")).to_be_focused()

    def test_skip_link(self):
        self.page.evaluate("document.activeElement.blur()")
        self.page.locator(".skip").focus()
        expect(self.page.locator(".skip")).to_be_in_viewport()
        self.page.keyboard.press("Enter")
        expect(self.page.locator("#question")).to_be_focused()

    def test_states_are_told(self):
        self.ask("hello")
        expect(self.page.get_by_role("status").first).to_be_attached()
        self.answer()
        expect(self.page.locator("#status")).to_have_text("The answer is complete")
        log = self.page.get_by_role("log", name="Conversation")
        self.assertEqual(log.get_attribute("aria-live"), "polite")

    def test_theme_button(self):
        ground = "getComputedStyle(document.body).backgroundColor"
        light = self.page.evaluate(ground)
        self.button("Colours as the system; change").click()
        self.assertNotEqual(self.page.evaluate(ground), light)
        self.page.reload()
        expect(self.button("Dark colours; change")).to_be_visible()
        self.assertNotEqual(self.page.evaluate(ground), light)
        self.button("Dark colours; change").click()
        self.page.emulate_media(color_scheme="dark")
        self.assertEqual(self.page.evaluate(ground), light)

    def test_motion_is_left_out_when_asked(self):
        self.page.emulate_media(reduced_motion="reduce")
        self.ask("slow")
        expect(self.page.get_by_role("article", name="Gemma")).to_contain_text("one more")
        self.assertEqual(self.page.evaluate("document.getAnimations().filter(animation => animation.playState === 'running').length"), 0)


class NarrowTests(PageTest):
    context_options = {"viewport": {"width": 360, "height": 740}}

    def check_width(self):
        self.assertLessEqual(self.page.evaluate("document.documentElement.scrollWidth"), 360)

    def test_fits_360_pixels(self):
        self.check_width()
        self.ask("sky")
        self.answer()
        self.check_width()
        self.assertLessEqual(self.page.locator("#scroll").evaluate("node => node.scrollWidth - node.clientWidth"), 0)
        for name in ["Send", "Add pictures, sound or video", "Options", "Conversations"]:
            expect(self.button(name)).to_be_in_viewport(ratio=1)

    def test_panels_lie_over_and_close(self):
        expect(self.page.locator("#history")).to_be_hidden()
        self.button("Conversations").click()
        expect(self.page.locator("#history")).to_be_visible()
        self.assertTrue(self.page.locator("main").evaluate("node => node.inert"))
        self.page.keyboard.press("Escape")
        expect(self.page.locator("#history")).to_be_hidden()
        expect(self.page.locator("#history-open")).to_be_focused()
        self.button("Options").click()
        self.check_width()
        self.page.mouse.click(2, 400)
        expect(self.page.locator("#options")).to_be_hidden()
        self.assertFalse(self.page.locator("main").evaluate("node => node.inert"))


if __name__ == "__main__":
    unittest.main()
