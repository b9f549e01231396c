import { byId, element } from "./dom.js";
import { builtIn, readTools } from "./tools.js";

const fields = { temperature: "temperature", "top-p": "topP", "top-k": "topK", seed: "seed", "max-tokens": "maxTokens" };

const schemas = {
  "a person": {
    type: "object",
    properties: { name: { type: "string" }, born: { type: "integer" }, works: { type: "array", items: { type: "string" }, maxItems: 5 } },
    required: ["name", "born", "works"],
  },
  "what a picture shows": {
    type: "object",
    properties: {
      description: { type: "string" },
      things: {
        type: "array",
        maxItems: 10,
        items: {
          type: "object",
          properties: { name: { type: "string" }, colour: { type: "string" }, count: { type: "integer" } },
          required: ["name", "colour", "count"],
        },
      },
    },
    required: ["description", "things"],
  },
  "a choice": {
    type: "object",
    properties: { answer: { enum: ["yes", "no", "unclear"] }, reason: { type: "string", maxLength: 200 } },
    required: ["answer", "reason"],
  },
};

const toolExample = [{
  name: "weather",
  description: "The weather in a place now.",
  parameters: { type: "object", properties: { place: { type: "string" } }, required: ["place"] },
}];

/** Settings, the answer's shape, and tools: fields that are checked as they are typed and kept. */
export class OptionsPanel {
  #tools = [];
  #schema = null;

  /** @param {() => void} onChange Called when what the next question asks for changes. */
  constructor(settings, onChange) {
    this.settings = settings;
    this.onChange = onChange;
    for (const [id, name] of Object.entries(fields)) this.#numberField(byId(id), name);
    this.#schemaFields();
    this.#toolFields();
  }

  /** The fields of a request that the panel decides, or a sentence that says what must be mended first. */
  get request() {
    const wrong = Object.keys(fields).map(byId).find(input => !input.validity.valid);
    if (wrong) return { problem: `${labelOf(wrong)}: ${wrong.validationMessage}` };
    const request = this.settings.sampling;
    if (this.settings.usesSchema) {
      if (!this.#schema) return { problem: "The JSON Schema cannot be read; mend it or switch it off." };
      request.response_format = { type: "json_schema", json_schema: { name: "answer", strict: true, schema: this.#schema } };
    }
    if (this.#tools === null) return { problem: "Your tools cannot be read; mend them or empty the field." };
    const tools = this.tools;
    if (tools.length > 0) {
      request.tools = tools;
      request.tool_choice = this.settings.toolChoice;
    }
    return { request };
  }

  get tools() {
    const chosen = builtIn.filter(({ definition }) => this.settings.builtInTools.includes(definition.function.name));
    return [...chosen.map(({ definition }) => definition), ...this.#tools ?? []];
  }

  #set(name, value) {
    this.settings.set(name, value);
    this.onChange();
  }

  #numberField(input, name) {
    input.value = this.settings[name];
    input.addEventListener("input", () => {
      const { valid } = input.validity;
      input.setAttribute("aria-invalid", String(!valid));
      byId("settings-error").textContent = valid ? "" : `${labelOf(input)}: ${input.validationMessage}`;
      if (valid) this.#set(name, input.value);
    });
  }

  #schemaFields() {
    const text = byId("schema-text");
    const uses = byId("uses-schema");
    const example = byId("schema-example");
    const check = () => {
      const { value, problem } = readSchema(text.value);
      this.#schema = value;
      showState(text, byId("schema-state"), text.value.trim() === "" ? "" : problem ?? "A JSON object", problem);
    };
    text.value = this.settings.schema;
    uses.checked = this.settings.usesSchema;
    text.addEventListener("input", () => {
      check();
      this.#set("schema", text.value);
    });
    uses.addEventListener("change", () => this.#set("usesSchema", uses.checked));
    example.append(...Object.keys(schemas).map(name => element("option", {}, name)));
    example.addEventListener("change", () => {
      text.value = JSON.stringify(schemas[example.value], null, 2) ?? text.value;
      example.value = "";
      uses.checked = true;
      this.settings.set("schema", text.value);
      check();
      this.#set("usesSchema", true);
    });
    check();
  }

  #toolFields() {
    const text = byId("tools-text");
    const choice = byId("tool-choice");
    byId("built-in").append(...builtIn.map(({ label, definition: { function: { name, description } } }) => {
      const box = element("input", { type: "checkbox", checked: this.settings.builtInTools.includes(name) });
      box.addEventListener("change", () => {
        const others = this.settings.builtInTools.filter(other => other !== name);
        this.#set("builtInTools", box.checked ? [...others, name] : others);
      });
      return element("label", { class: "check" }, box, element("span", {}, label, element("span", { class: "hint" }, description)));
    }));
    const check = () => {
      try {
        this.#tools = readTools(text.value);
        const names = this.#tools.map(tool => tool.function.name).join(", ");
        showState(text, byId("tools-state"), names && `Offers ${names}`);
      } catch (error) {
        this.#tools = null;
        showState(text, byId("tools-state"), error.message, true);
      }
    };
    text.value = this.settings.tools;
    text.addEventListener("input", () => {
      check();
      this.#set("tools", text.value);
    });
    byId("tools-example").addEventListener("click", () => {
      text.value = JSON.stringify(toolExample, null, 2);
      check();
      this.#set("tools", text.value);
      text.focus();
    });
    choice.value = this.settings.toolChoice;
    choice.addEventListener("change", () => this.#set("toolChoice", choice.value));
    check();
  }
}

const labelOf = input => input.labels[0].textContent;

function readSchema(text) {
  try {
    const value = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { value };
    return { value: null, problem: "A JSON Schema is an object: { … }" };
  } catch (error) {
    return { value: null, problem: error.message };
  }
}

function showState(field, node, text, isWrong = false) {
  field.setAttribute("aria-invalid", String(Boolean(isWrong && field.value.trim() !== "")));
  node.textContent = text;
}
