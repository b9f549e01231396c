import { element } from "./dom.js";

const format = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const decimal = value => format.format(value < 100 ? value : Math.round(value));

/** The line under an answer: who wrote it, at which size, how much and how fast. */
export function statisticsLine(statistics, finish) {
  const { engine, model, size, tokens, isEstimate, prompt, cached, untilFirst, tokensPerSecond, promptTokensPerSecond } = statistics;
  const facts = [
    ["Model", [model, size].filter(Boolean).join(" · ")],
    ["Engine", engine],
    ["Speed", tokensPerSecond && `${decimal(tokensPerSecond)} tokens/s`],
    ["Length", tokens > 0 && `${isEstimate ? "about " : ""}${tokens} token${tokens === 1 ? "" : "s"}`],
    ["First word", untilFirst !== undefined && `first after ${duration(untilFirst)}`],
    ["Prompt", prompt !== undefined && promptText(prompt, cached, promptTokensPerSecond)],
    ["End", finish === "length" && "cut at the most tokens allowed"],
  ];
  return element("dl", { class: "statistics", "aria-label": "Statistics" }, facts.filter(([, value]) => value).map(([name, value]) =>
    element("div", { class: name === "Speed" || name === "Model" ? "strong" : null },
      element("dt", { class: "offscreen" }, name), element("dd", {}, value))));
}

function promptText(prompt, cached, speed) {
  const parts = [`${prompt} in`];
  if (cached) parts.push(`${cached} cached`);
  if (speed) parts.push(`${decimal(speed)}/s`);
  return parts.join(", ");
}

const duration = seconds => seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${decimal(seconds)} s`;

/** 1905000000 as “1.9 B”. */
export function parameterCount(count) {
  for (const [unit, name] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (count >= unit) return `${(count / unit).toFixed(count < 10 * unit ? 2 : 1)} ${name}`;
  }
  return String(count);
}
