import { element } from "./dom.js";

const deepest = 8;
/** What stands behind a link's label: an address, whose parentheses are balanced, and a title that is left out. */
const place = /^\(\s*([^\s()]*(?:\([^\s()]*\)[^\s()]*)*)(?:\s+"[^"]*")?\s*\)/;
const schemes = /^(https?:\/\/|mailto:)/i;

/** The nodes of one paragraph's text: bold, italic, code, links and line breaks. Works in time linear in the text's length. */
export function renderInline(text, depth = 0) {
  const nodes = [];
  const absent = new Set();
  let plain = "";
  let at = 0;
  const flush = () => {
    if (plain) nodes.push(plain);
    plain = "";
  };
  const closing = (marker, from, accepts) => {
    if (absent.has(marker)) return -1;
    for (let end = text.indexOf(marker, from); end >= 0; end = text.indexOf(marker, end + 1)) {
      if (end > from && accepts(end)) return end;
    }
    absent.add(marker);
    return -1;
  };
  while (at < text.length) {
    const found = depth < deepest ? rule(text, at, closing, depth) : undefined;
    if (found) {
      flush();
      nodes.push(found.node);
      at = found.end;
    } else {
      const escaped = text[at] === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "");
      plain += escaped ? text[at + 1] : text[at];
      at += escaped ? 2 : 1;
    }
  }
  flush();
  return nodes;
}

/** The node that starts at a place, and where it ends. */
function rule(text, at, closing, depth) {
  switch (text[at]) {
    case "\n":
      return { node: element("br"), end: at + 1 };
    case "`": {
      const marks = /^`+/.exec(text.slice(at, at + 16))[0];
      const end = closing(marks, at + marks.length, place => text[place + marks.length] !== "`" && text[place - 1] !== "`");
      return end < 0 ? undefined : { node: element("code", {}, text.slice(at + marks.length, end)), end: end + marks.length };
    }
    case "*":
    case "_":
      return emphasis(text, at, closing, depth);
    case "!":
      return text[at + 1] === "[" ? link(text, at + 1, closing, depth) : undefined;
    case "[":
      return link(text, at, closing, depth);
    case "h":
      return address(text, at);
    default:
      return undefined;
  }
}

function emphasis(text, at, closing, depth) {
  const mark = text[at];
  const isWord = character => /[\p{L}\p{N}]/u.test(character ?? "");
  if (mark === "_" && isWord(text[at - 1])) return undefined;
  for (const [length, names] of [[3, ["strong", "em"]], [2, ["strong"]], [1, ["em"]]]) {
    const marks = mark.repeat(length);
    if (!text.startsWith(marks, at) || /[\s]/.test(text[at + length] ?? " ") || text[at + length] === mark) continue;
    const end = closing(marks, at + length, place =>
      !/\s/.test(text[place - 1]) && text[place - 1] !== mark && text[place + length] !== mark
      && !(mark === "_" && isWord(text[place + length])));
    if (end < 0) continue;
    const inner = renderInline(text.slice(at + length, end), depth + 1);
    return { node: names.reduceRight((children, name) => [element(name, {}, children)], inner)[0], end: end + length };
  }
  return undefined;
}

function link(text, at, closing, depth) {
  const middle = closing("](", at + 1, () => true);
  if (middle < 0) return undefined;
  const label = text.slice(at + 1, middle);
  const [whole, target] = place.exec(text.slice(middle + 1, middle + 2048)) ?? [];
  if (/[[\]]/.test(label) || !schemes.test(target ?? "")) return undefined;
  return { node: anchor(target, renderInline(label, depth + 1)), end: middle + 1 + whole.length };
}

function address(text, at) {
  if (/[\p{L}\p{N}]/u.test(text[at - 1] ?? "") || !/^https?:\/\//.test(text.slice(at, at + 8))) return undefined;
  const [target] = /^[^\s<>"'`]+?(?=[.,;:!?)\]*_]*(?:[\s<>"'`]|$))/.exec(text.slice(at, at + 2048)) ?? [""];
  return target.length > 8 ? { node: anchor(target, [target]), end: at + target.length } : undefined;
}

const anchor = (target, children) =>
  element("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, children);
