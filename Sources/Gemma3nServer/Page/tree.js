import { element } from "./dom.js";

/** A JSON value as a table of names and values; a list of like objects has a column per name. */
export function jsonTree(value) {
  if (value === undefined) return element("span", { class: "json-none" }, "…");
  if (value === null) return element("span", { class: "json-none" }, "null");
  if (typeof value === "string") return element("span", { class: "json-text" }, value);
  if (typeof value !== "object") return element("span", { class: "json-word" }, String(value));
  if (Array.isArray(value)) return listTree(value);
  const names = Object.keys(value);
  if (names.length === 0) return element("span", { class: "json-none" }, "{ }");
  return element("table", { class: "json" }, element("tbody", {}, names.map(name => element("tr", {},
    element("th", { scope: "row" }, name),
    element("td", {}, jsonTree(value[name]))))));
}

function listTree(values) {
  if (values.length === 0) return element("span", { class: "json-none" }, "[ ]");
  const isRecord = value => typeof value === "object" && value !== null && !Array.isArray(value)
    && Object.values(value).every(field => typeof field !== "object" || field === null);
  if (!values.every(isRecord)) {
    return element("ol", { class: "json" }, values.map(value => element("li", {}, jsonTree(value))));
  }
  const names = [...new Set(values.flatMap(Object.keys))];
  return element("table", { class: "json records" },
    element("thead", {}, element("tr", {}, names.map(name => element("th", { scope: "col" }, name)))),
    element("tbody", {}, values.map(value => element("tr", {},
      names.map(name => element("td", {}, name in value ? jsonTree(value[name]) : ""))))));
}
