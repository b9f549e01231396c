import { EngineError } from "./engine.js";
import { openCalls } from "./conversation.js";
import { toOpenAI } from "./openai.js";
import { runTool } from "./tools.js";

const mostRounds = 8;

/** Asks an engine about a conversation and writes the answer into it as it comes. One answer at a time. */
export class Dialogue {
  #controller = null;

  /**
   * @param engine See engine.js.
   * @param {(conversation) => void} onChange Called for every piece of an answer, and when it ends.
   */
  constructor(engine, onChange) {
    this.engine = engine;
    this.onChange = onChange;
  }

  get isAnswering() {
    return this.#controller !== null;
  }

  stop() {
    this.#controller?.abort();
  }

  /**
   * Answers the conversation's last message. Calls of built-in tools are run and the model asked again, until there is an
   * answer or a call that the user must give the result of.
   * @param options The request without its messages: model, size, temperature, tools …
   */
  async answer(conversation, options) {
    const controller = new AbortController();
    this.#controller = controller;
    try {
      for (let round = 0; round < mostRounds; round += 1) {
        const answer = await this.#round(conversation, options, controller.signal);
        if (answer.state !== "done" || answer.toolCalls.length === 0) return answer;
        this.#runTools(conversation, answer);
        if (openCalls(conversation).length > 0) return answer;
      }
    } finally {
      if (this.#controller === controller) this.#controller = null;
      this.onChange(conversation);
    }
  }

  async #round(conversation, options, signal) {
    const answer = { role: "assistant", text: "", toolCalls: [], state: "waiting", statistics: null };
    if (options.response_format) answer.isStructured = true;
    const sent = performance.now();
    const pace = new Pace(sent);
    try {
      const messages = await toOpenAI(conversation.system, conversation.messages);
      conversation.messages.push(answer);
      this.onChange(conversation);
      const result = await this.engine.chat({ ...options, messages, prompt_cache_key: conversation.id }, {
        signal,
        onDelta: delta => {
          pace.piece();
          answer.state = "writing";
          answer.text += delta.text;
          for (const call of delta.toolCalls) join(answer.toolCalls, call);
          this.onChange(conversation);
        },
      });
      answer.state = "done";
      answer.finish = result.finish;
      answer.statistics = statistics(this.engine, options, result, pace);
    } catch (error) {
      answer.statistics = statistics(this.engine, options, {}, pace);
      if (error.name === "AbortError") {
        answer.state = "stopped";
      } else {
        answer.state = "failed";
        answer.error = error instanceof EngineError
          ? { kind: error.kind, message: error.message, retryAfter: error.retryAfter }
          : { kind: "broken", message: `The page made a mistake: ${error.message}` };
      }
    }
    answer.toolCalls.forEach((call, index) => { call.id ||= `call_${conversation.messages.length}_${index}`; });
    this.onChange(conversation);
    return answer;
  }

  #runTools(conversation, answer) {
    for (const call of answer.toolCalls) {
      const text = runTool(call);
      if (text !== undefined) conversation.messages.push({ role: "tool", id: call.id, text });
    }
  }
}

function join(calls, piece) {
  const index = Math.min(piece.index, calls.length);
  const call = calls[index] ??= { id: "", name: "", arguments: "" };
  call.id ||= piece.id ?? "";
  call.name ||= piece.name ?? "";
  call.arguments += piece.arguments;
}

/** When pieces came, in seconds. */
class Pace {
  pieces = 0;

  constructor(sent) {
    this.sent = sent;
  }

  piece() {
    this.last = performance.now();
    this.first ??= this.last;
    this.pieces += 1;
  }

  get untilFirst() {
    return this.first === undefined ? undefined : (this.first - this.sent) / 1000;
  }

  /** Tokens after the first, over the time they took. */
  rate(tokens) {
    const time = (this.last - this.first) / 1000;
    return tokens > 1 && time > 0 ? (tokens - 1) / time : undefined;
  }
}

/** What is shown under an answer. Without the engine's own count, pieces are counted: about one token each. */
function statistics(engine, options, result, pace) {
  const counted = result.usage?.completion;
  const tokens = counted ?? pace.pieces;
  return {
    engine: engine.name,
    model: result.model ?? options.model,
    size: result.size ?? options.size,
    tokens,
    isEstimate: counted === undefined,
    prompt: result.usage?.prompt,
    cached: result.usage?.cached,
    untilFirst: pace.untilFirst,
    tokensPerSecond: result.timings?.decode ?? pace.rate(tokens),
    promptTokensPerSecond: result.timings?.prompt,
  };
}
