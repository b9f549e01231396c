const deepest = 100;

/**
 * Reads JSON that may not be whole yet: `{"name": "Fau` gives {value: {name: "Fau"}, complete: false}. What has not begun is
 * left out; numbers count as far as they are written.
 * @throws {SyntaxError} where no continuation could make the text JSON.
 */
export function parsePartial(text) {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.space();
  if (!reader.ended) throw reader.error("the end");
  return { value: value === missing ? undefined : value, complete: value !== missing && !reader.cut };
}

const missing = Symbol("missing");

class Reader {
  at = 0;
  cut = false;

  constructor(text) {
    this.text = text;
  }

  get ended() {
    return this.at >= this.text.length;
  }

  error(expected) {
    return new SyntaxError(`expected ${expected} at character ${this.at}, found “${this.text[this.at]}”`);
  }

  space() {
    while (/[ \t\n\r]/.test(this.text[this.at] ?? "")) this.at += 1;
  }

  /** Whether the text goes on with a character, which is then read. */
  takes(character) {
    this.space();
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  value(depth) {
    this.space();
    if (depth > deepest) throw new SyntaxError(`more than ${deepest} levels deep`);
    if (this.ended) {
      this.cut = true;
      return missing;
    }
    switch (this.text[this.at]) {
      case "{": return this.object(depth);
      case "[": return this.array(depth);
      case "\"": return this.string();
      default: return this.word();
    }
  }

  object(depth) {
    const result = {};
    this.at += 1;
    if (this.takes("}")) return result;
    for (;;) {
      this.space();
      if (this.ended) break;
      if (this.text[this.at] !== "\"") throw this.error("a name in quotes");
      const name = this.string();
      if (this.cut) return result;
      if (!this.takes(":")) {
        if (this.ended) break;
        throw this.error("“:”");
      }
      const value = this.value(depth + 1);
      if (value !== missing) Object.defineProperty(result, name, { value, enumerable: true, configurable: true, writable: true });
      if (this.cut) return result;
      if (this.takes("}")) return result;
      if (!this.takes(",")) {
        if (this.ended) break;
        throw this.error("“,” or “}”");
      }
    }
    this.cut = true;
    return result;
  }

  array(depth) {
    const result = [];
    this.at += 1;
    if (this.takes("]")) return result;
    for (;;) {
      const value = this.value(depth + 1);
      if (value !== missing) result.push(value);
      if (this.cut) return result;
      if (this.takes("]")) return result;
      if (!this.takes(",")) {
        this.space();
        if (!this.ended) throw this.error("“,” or “]”");
        this.cut = true;
        return result;
      }
    }
  }

  string() {
    const start = this.at;
    this.at += 1;
    while (!this.ended && this.text[this.at] !== "\"") {
      const length = this.text[this.at] !== "\\" ? 1 : this.text[this.at + 1] === "u" ? 6 : 2;
      if (this.at + length > this.text.length) break;
      this.at += length;
    }
    const written = this.text.slice(start, this.at) + "\"";
    this.cut = this.text[this.at] !== "\"";
    this.at = this.cut ? this.text.length : this.at + 1;
    return JSON.parse(written);
  }

  word() {
    const [word] = /^[-+.\w]*/.exec(this.text.slice(this.at));
    if (word === "") throw this.error("a value");
    const end = this.at + word.length;
    if (end === this.text.length && !["true", "false", "null"].includes(word)) {
      const couldBe = ["true", "false", "null"].some(known => known.startsWith(word)) || /^-?\d*\.?\d*([eE][-+]?\d*)?$/.test(word);
      if (!couldBe) throw this.error("a value");
      try {
        const number = JSON.parse(word);
        this.at = end;
        return number;
      } catch {
        this.at = end;
        this.cut = true;
        return missing;
      }
    }
    const value = JSON.parse(word);
    this.at = end;
    return value;
  }
}
