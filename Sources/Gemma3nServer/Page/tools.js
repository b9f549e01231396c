import { calculate } from "./calculator.js";

/** Tools that run in the page, so that a round trip can be tried without writing one. */
export const builtIn = [
  {
    label: "Calculator",
    definition: {
      type: "function",
      function: {
        name: "calculate",
        description: "Computes an arithmetic expression such as (3 + 4) * 2.5 or sqrt(2).",
        parameters: {
          type: "object",
          properties: { expression: { type: "string", description: "The expression." } },
          required: ["expression"],
        },
      },
    },
    run: ({ expression }) => String(calculate(expression)),
  },
  {
    label: "Current time",
    definition: {
      type: "function",
      function: {
        name: "current_time",
        description: "The date and time now.",
        parameters: {
          type: "object",
          properties: { time_zone: { type: "string", description: "An IANA name such as Europe/Zurich; left out, the user's own." } },
        },
      },
    },
    run: ({ time_zone: timeZone }) =>
      new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long", timeZone: timeZone || undefined }).format(new Date()),
  },
];

/** The result of a built-in tool's call, as text; `undefined` if the call is for the user to answer. */
export function runTool(call) {
  const tool = builtIn.find(({ definition }) => definition.function.name === call.name);
  if (!tool) return undefined;
  try {
    return tool.run(JSON.parse(call.arguments || "{}"));
  } catch (error) {
    return `error: ${error.message}`;
  }
}

/**
 * Reads tool definitions: a list, or one alone; with or without the API's wrapping {type: "function", function}.
 * @throws {Error} whose sentence says what is missing.
 */
export function readTools(text) {
  if (text.trim() === "") return [];
  const value = JSON.parse(text);
  return (Array.isArray(value) ? value : [value]).map((tool, index) => {
    const definition = tool?.function ?? tool;
    if (typeof definition?.name !== "string" || !/^[\w.-]{1,64}$/.test(definition.name)) {
      throw new Error(`Tool ${index + 1} needs a “name” of letters, digits, “_”, “-” or “.”.`);
    }
    const { name, description, parameters = { type: "object", properties: {} } } = definition;
    if (typeof parameters !== "object" || parameters === null || Array.isArray(parameters)) {
      throw new Error(`“parameters” of ${name} is not a JSON Schema.`);
    }
    return { type: "function", function: { name, description, parameters } };
  });
}
