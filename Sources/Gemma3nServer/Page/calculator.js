const functions = {
  sqrt: Math.sqrt, abs: Math.abs, sin: Math.sin, cos: Math.cos, tan: Math.tan, exp: Math.exp, ln: Math.log, log: Math.log10,
  round: Math.round, floor: Math.floor, ceil: Math.ceil,
};
const constants = { pi: Math.PI, e: Math.E };
const deepest = 100;

/**
 * The value of an arithmetic expression: numbers, + - * / % ^, parentheses, some functions. `^` binds tightest, from the right.
 * @throws {Error} whose sentence says what was expected where.
 */
export function calculate(expression) {
  const tokens = String(expression).match(/\d+(\.\d+)?([eE][-+]?\d+)?|\.\d+|\*\*|[A-Za-z]+|\S/g) ?? [];
  let at = 0;
  let depth = 0;
  const takes = (...wanted) => wanted.includes(tokens[at]) ? tokens[at++] : undefined;
  const expected = what => new Error(`expected ${what}, found ${at < tokens.length ? `“${tokens[at]}”` : "the end"}`);

  function sum() {
    let value = product();
    for (let sign; (sign = takes("+", "-"));) value = sign === "+" ? value + product() : value - product();
    return value;
  }

  function product() {
    let value = signed();
    for (let sign; (sign = takes("*", "×", "/", "÷", "%"));) {
      const right = signed();
      if (sign === "*" || sign === "×") value *= right;
      else if (sign === "%") value %= right;
      else value /= right;
    }
    return value;
  }

  function signed() {
    if ((depth += 1) > deepest) throw new Error(`the expression is more than ${deepest} levels deep`);
    const value = takes("-") ? -signed() : takes("+") ? signed() : power();
    depth -= 1;
    return value;
  }

  function power() {
    const base = atom();
    return takes("^", "**") ? base ** signed() : base;
  }

  function atom() {
    if (takes("(")) {
      const value = sum();
      if (!takes(")")) throw expected("“)”");
      return value;
    }
    const token = tokens[at];
    if (/^[\d.]/.test(token ?? "") && !Number.isNaN(Number(token))) return Number(tokens[at++]);
    const name = token?.toLowerCase();
    if (Object.hasOwn(constants, name ?? "")) {
      at += 1;
      return constants[name];
    }
    if (Object.hasOwn(functions, name ?? "")) {
      at += 1;
      if (tokens[at] !== "(") throw expected("“(”");
      return functions[name](atom());
    }
    throw expected("a number");
  }

  const value = sum();
  if (at < tokens.length) throw expected("the end");
  return value;
}
