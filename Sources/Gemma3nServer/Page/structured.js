import { element } from "./dom.js";
import { codeBlock } from "./code.js";
import { parsePartial } from "./partial.js";
import { jsonTree } from "./tree.js";

/** An answer that keeps to a schema: as a table while it is written, and as the JSON it is. */
export class StructuredView {
  #text = null;
  #showsText = false;

  constructor() {
    this.content = element("div", { class: "structured-content" });
    this.button = element("button", { type: "button", class: "quiet small", "aria-pressed": "false", onclick: () => this.#toggle() }, "JSON");
    this.node = element("div", { class: "structured" }, element("div", { class: "structured-head" }, this.button), this.content);
  }

  update(text) {
    if (text === this.#text) return;
    this.#text = text;
    this.#show();
  }

  #toggle() {
    this.#showsText = !this.#showsText;
    this.button.setAttribute("aria-pressed", String(this.#showsText));
    this.#show();
  }

  #show() {
    let value;
    try {
      value = parsePartial(this.#text).value;
    } catch {
      this.content.replaceChildren(codeBlock(this.#text, "json"));
      return;
    }
    if (this.#showsText) this.content.replaceChildren(codeBlock(this.#isWhole ? JSON.stringify(value, null, 2) : this.#text, "json"));
    else this.content.replaceChildren(jsonTree(value));
  }

  get #isWhole() {
    try {
      JSON.parse(this.#text);
      return true;
    } catch {
      return false;
    }
  }
}
