import { element } from "./dom.js";
import { renderInline } from "./inline.js";
import { codeBlock } from "./code.js";

/*
 * The part of Markdown that models write, made into nodes without ever reading text as HTML: paragraphs, headings, lists,
 * quotes, code, tables, rules; in lines bold, italic, code and links. Pictures become links: the page asks no other host.
 */

const fence = /^\s{0,3}(`{3,}|~{3,})\s*([^\s`]*)/;
const heading = /^\s{0,3}(#{1,6})\s+(.*?)\s*#*$/;
const rule = /^\s{0,3}([-*_])(\s*\1){2,}\s*$/;
const quote = /^\s{0,3}>\s?/;
const item = /^(\s*)([-*+]|\d{1,9}[.)])(\s+|$)/;
const tableRule = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const deepest = 12;

/**
 * Keeps a node's children up to date with a growing text. Blocks whose source has not changed keep their nodes, so that a
 * long answer costs only its last block per piece, and selections and focus survive.
 */
export class MarkdownView {
  #blocks = [];

  constructor(root) {
    this.root = root;
  }

  update(text) {
    const blocks = blocksOf(text.split(/\r?\n/));
    let same = 0;
    while (same < blocks.length && same < this.#blocks.length && blocks[same].key === this.#blocks[same].key) same += 1;
    for (const old of this.#blocks.slice(same)) old.node.remove();
    const fresh = blocks.slice(same).map(block => ({ key: block.key, node: block.make() }));
    this.root.append(...fresh.map(block => block.node));
    this.#blocks = [...this.#blocks.slice(0, same), ...fresh];
  }
}

function render(lines, depth) {
  return blocksOf(lines, depth).map(block => block.make());
}

/** Cuts lines into blocks: `key` tells two apart, `make` gives the node. */
function blocksOf(lines, depth = 0) {
  const blocks = [];
  let at = 0;
  const take = (count, kind, make) => {
    const source = lines.slice(at, at + count);
    blocks.push({ key: kind + "\n" + source.join("\n"), make: () => make(source) });
    at += count;
  };
  while (at < lines.length) {
    const line = lines[at];
    if (line.trim() === "") {
      at += 1;
    } else if (fence.test(line)) {
      const [, marks, language] = fence.exec(line);
      let end = at + 1;
      while (end < lines.length && !closes(lines[end], marks)) end += 1;
      const closed = end < lines.length;
      take(Math.min(end + 1, lines.length) - at, "code", source =>
        codeBlock(source.slice(1, closed ? -1 : undefined).join("\n"), language));
    } else if (heading.test(line)) {
      take(1, "heading", ([source]) => {
        const [, marks, text] = heading.exec(source);
        return element(`h${Math.min(6, marks.length + 2)}`, {}, renderInline(text));
      });
    } else if (rule.test(line)) {
      take(1, "rule", () => element("hr"));
    } else if (quote.test(line) && depth < deepest) {
      take(span(lines, at, text => quote.test(text)), "quote", source =>
        element("blockquote", {}, render(source.map(text => text.replace(quote, "")), depth + 1)));
    } else if (item.test(line) && depth < deepest) {
      take(listLength(lines, at), "list", source => list(source, depth));
    } else if (line.includes("|") && tableRule.test(lines[at + 1] ?? "") && lines[at + 1].includes("-")) {
      take(span(lines, at, text => text.includes("|")), "table", table);
    } else {
      take(Math.max(1, span(lines, at, (text, index) => text.trim() !== "" && (index === at || !startsBlock(text)))), "paragraph",
        source => element("p", {}, renderInline(source.map(text => text.trim()).join("\n"))));
    }
  }
  return blocks;
}

function closes(line, marks) {
  const text = line.trim();
  return text.length >= marks.length && [...text].every(character => character === marks[0]);
}

const startsBlock = line => fence.test(line) || heading.test(line) || rule.test(line) || quote.test(line) || item.test(line);

function span(lines, start, belongs) {
  let end = start;
  while (end < lines.length && belongs(lines[end], end)) end += 1;
  return end - start;
}

const indentOf = line => /^\s*/.exec(line)[0].length;
const isOrdered = line => /^\s*\d/.test(line);

/** A list goes on over its items, what is indented below them, and blank lines between those. */
function listLength(lines, start) {
  const indent = indentOf(lines[start]);
  let end = start + 1;
  for (let next = end; next < lines.length; next += 1) {
    const line = lines[next];
    if (line.trim() === "") continue;
    const isItem = item.test(line) && !rule.test(line);
    const goesOn = indentOf(line) > indent
      || (isItem && isOrdered(line) === isOrdered(lines[start]))
      || (next === end && !startsBlock(line));
    if (!goesOn) break;
    end = next + 1;
  }
  return end - start;
}

function list(lines, depth) {
  const indent = indentOf(lines[0]);
  const items = [];
  for (const line of lines) {
    const start = item.exec(line);
    if (start && start[1].length <= indent) {
      const width = start[0].length;
      items.push({ width, lines: [line.slice(width)] });
    } else {
      const current = items[items.length - 1];
      current.lines.push(line.slice(Math.min(indentOf(line), current.width)));
    }
  }
  const first = Number.parseInt(lines[0].trim(), 10);
  return element(isOrdered(lines[0]) ? "ol" : "ul", { start: first > 1 && first },
    items.map(({ lines: content }) => {
      const nodes = render(content, depth + 1);
      const tight = nodes[0]?.tagName === "P" && nodes.slice(1).every(node => node.tagName === "UL" || node.tagName === "OL");
      return element("li", {}, tight ? [...nodes[0].childNodes, ...nodes.slice(1)] : nodes);
    }));
}

function table(lines) {
  const [head, , ...rows] = lines;
  const cells = line => line.trim().replace(/^\||\|$/g, "").split("|").map(cell => cell.trim());
  const columns = cells(head);
  return element("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" }, element("table", {},
    element("thead", {}, element("tr", {}, columns.map(cell => element("th", { scope: "col" }, renderInline(cell))))),
    element("tbody", {}, rows.map(row => element("tr", {},
      cells(row).slice(0, columns.length).map(cell => element("td", {}, renderInline(cell))))))));
}
