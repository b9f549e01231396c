/**
 * What the page asks of an engine. `ServerEngine` answers over HTTP; one that runs in the browser has the same shape.
 *
 *     engine.name                      a word for the statistics: "server"
 *     await engine.models()            [{id, sizes: [{name, parameters}]}], smallest size first; no sizes: whole only
 *     await engine.chat(request, {signal, onDelta})
 *
 * `request` is the body of an OpenAI chat completion, with `size` beside it. `onDelta({text, toolCalls})` is called for every
 * piece; `toolCalls` are [{index, id, name, arguments}], to be joined by index. The promise gives
 * {finish, usage: {prompt, completion, cached}, model, size, timings: {prompt, decode} in tokens a second}; what is not known
 * is undefined. It throws `EngineError`, or the signal's `AbortError`.
 */

/** What kept an engine from answering. */
export class EngineError extends Error {
  /**
   * @param {"unreachable"|"unauthorized"|"busy"|"tooLong"|"rejected"|"failed"|"broken"} kind
   * @param {string} message A sentence to show.
   * @param {number} [retryAfter] Seconds after which asking again may help.
   */
  constructor(kind, message, retryAfter) {
    super(message);
    this.name = "EngineError";
    this.kind = kind;
    this.retryAfter = retryAfter;
  }
}
