import { element, icon } from "./dom.js";
import { builtIn } from "./tools.js";

/** A tool's call: its name, its arguments, and its result or a field for it. */
export class ToolCard {
  #hasField = false;

  /** @param {(call, text: string) => void} onResult Called when the user gives a result. */
  constructor(onResult) {
    this.onResult = onResult;
    this.name = element("strong");
    this.state = element("span", { class: "hint" });
    this.arguments = element("code");
    this.result = element("div", { class: "tool-result" });
    this.node = element("section", { class: "tool", "aria-label": "Tool call" },
      element("div", { class: "tool-head" }, icon("tool"), this.name, this.state),
      element("pre", { tabindex: "0", role: "group", "aria-label": "Arguments" }, this.arguments),
      this.result);
  }

  /** @param {string|undefined} result @param {boolean} isOpen Whether a result can be given now. */
  update(call, result, isOpen) {
    this.name.textContent = call.name;
    this.arguments.textContent = pretty(call.arguments);
    if (result !== undefined) {
      const isOwn = builtIn.some(({ definition }) => definition.function.name === call.name);
      this.state.textContent = isOwn ? "ran in this page" : "answered by you";
      this.result.replaceChildren(element("span", { class: "hint" }, "Result"), element("pre", { tabindex: "0", role: "group", "aria-label": "Result" }, result));
      this.#hasField = false;
    } else if (isOpen && !this.#hasField) {
      this.state.textContent = "waits for a result";
      this.result.replaceChildren(this.#field(call));
      this.#hasField = true;
    } else if (!isOpen) {
      this.state.textContent = "";
      this.result.replaceChildren();
      this.#hasField = false;
    }
  }

  #field(call) {
    const text = element("textarea", { rows: "2", class: "code-field", "aria-label": `Result of ${call.name}`, placeholder: "Type or paste the result" });
    const give = event => {
      event.preventDefault();
      this.onResult(call, text.value);
    };
    text.addEventListener("keydown", event => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) give(event);
    });
    return element("form", { class: "tool-form", onsubmit: give }, text, element("button", { type: "submit", class: "small" }, "Give result"));
  }
}

function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
