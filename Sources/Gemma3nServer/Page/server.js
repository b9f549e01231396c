import { EngineError } from "./engine.js";
import { eventData } from "./events.js";

/** Answers by the OpenAI-shaped endpoints of the server that the page came from. */
export class ServerEngine {
  name = "server";

  /** @param {() => string|null} key Gives the key to show the server, if there is one. */
  constructor(key = () => null) {
    this.key = key;
  }

  async models() {
    const response = await this.#fetch("v1/models", { headers: this.#headers() });
    const { data = [] } = await response.json();
    return data.map(model => ({ id: model.id, sizes: bySize(model.sizes ?? []) }));
  }

  async chat(request, { signal, onDelta }) {
    const response = await this.#fetch("v1/chat/completions", {
      method: "POST",
      // A balancer sends a conversation to the replica that has its beginning in the cache.
      headers: { ...this.#headers(), "Content-Type": "application/json", "X-Conversation-Id": request.prompt_cache_key ?? "" },
      body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
      signal,
    });
    const result = {};
    let finished = false;
    try {
      for await (const data of eventData(response.body)) {
        if (data === "[DONE]") {
          finished = true;
          break;
        }
        const chunk = JSON.parse(data);
        if (chunk.error) throw new EngineError("failed", chunk.error.message ?? "The server stopped without a reason.");
        read(chunk, result, onDelta);
      }
    } catch (error) {
      if (error.name === "AbortError" || error instanceof EngineError) throw error;
      if (error instanceof SyntaxError) throw new EngineError("broken", "The server sent something that is not JSON.");
      throw new EngineError("broken", "The connection broke before the answer was whole.");
    }
    if (!finished && result.finish === undefined) {
      throw new EngineError("broken", "The connection broke before the answer was whole.");
    }
    return result;
  }

  #headers() {
    const key = this.key();
    return key ? { Authorization: `Bearer ${key}` } : {};
  }

  async #fetch(path, options) {
    let response;
    try {
      response = await fetch(path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new EngineError("unreachable", "The server does not answer. Is it still running?");
    }
    if (!response.ok) throw await errorOf(response);
    return response;
  }
}

function bySize(sizes) {
  return [...sizes].sort((a, b) => (a.parameters ?? 0) - (b.parameters ?? 0));
}

/** Reads one chunk of a stream into the result and hands on what it adds to the answer. */
function read(chunk, result, onDelta) {
  const extension = { ...chunk, ...chunk.gemma3n };
  if (chunk.model) result.model = chunk.model;
  if (extension.size) result.size = extension.size;
  if (extension.timings) {
    result.timings = { prompt: extension.timings.prompt_per_second, decode: extension.timings.predicted_per_second };
  }
  if (chunk.usage) {
    result.usage = {
      prompt: chunk.usage.prompt_tokens,
      completion: chunk.usage.completion_tokens,
      cached: chunk.usage.prompt_tokens_details?.cached_tokens,
    };
  }
  const choice = chunk.choices?.[0];
  if (!choice) return;
  if (choice.finish_reason) result.finish = choice.finish_reason;
  const text = choice.delta?.content ?? choice.delta?.refusal ?? "";
  const toolCalls = (choice.delta?.tool_calls ?? []).map((call, position) => ({
    index: call.index ?? position,
    id: call.id,
    name: call.function?.name,
    arguments: call.function?.arguments ?? "",
  }));
  if (text || toolCalls.length > 0) onDelta({ text, toolCalls });
}

async function errorOf(response) {
  let said = {};
  try {
    said = (await response.json()).error ?? {};
  } catch {
    // An answer without a JSON body has its status only.
  }
  const message = said.message ?? `The server answered ${response.status} ${response.statusText}`.trim() + ".";
  switch (response.status) {
    case 401:
      return new EngineError("unauthorized", message);
    case 429:
    case 503:
      return new EngineError("busy", message, seconds(response.headers.get("Retry-After")));
    case 413:
      return new EngineError("tooLong", message);
    default: {
      const tooLong = said.code === "context_length_exceeded";
      const kind = tooLong ? "tooLong" : response.status < 500 ? "rejected" : "failed";
      return new EngineError(kind, message);
    }
  }
}

/** `Retry-After` holds seconds or a date. */
function seconds(value) {
  if (!value) return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - Date.now()) / 1000));
}
