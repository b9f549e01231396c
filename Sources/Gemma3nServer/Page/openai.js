import { base64, blobOf, dataURL } from "./bytes.js";

/*
 * A conversation's messages and those of the OpenAI API, both ways. The page's own:
 *
 *     {role: "user", parts: [{kind: "text", text} | {kind: "image"|"audio"|"video", blob, name}]}
 *     {role: "assistant", text, toolCalls: [{id, name, arguments}], statistics}
 *     {role: "tool", id, text}
 */

/** Messages for a request, or for a file; answers that failed before their first word are left out. */
export async function toOpenAI(system, messages) {
  const result = [];
  if (system) result.push({ role: "system", content: system });
  for (const message of messages) {
    if (message.role === "user") {
      result.push({ role: "user", content: await contentOf(message.parts) });
    } else if (message.role === "tool") {
      result.push({ role: "tool", tool_call_id: message.id, content: message.text });
    } else if (message.text || message.toolCalls.length > 0) {
      const answer = { role: "assistant", content: message.text || null };
      if (message.toolCalls.length > 0) {
        answer.tool_calls = message.toolCalls.map(call => ({
          id: call.id,
          type: "function",
          function: { name: call.name, arguments: call.arguments },
        }));
      }
      result.push(answer);
    }
  }
  return withAllResults(result);
}

/** Servers refuse a call without a result: one that the user skipped says so. */
function withAllResults(messages) {
  const answered = new Set(messages.filter(message => message.role === "tool").map(message => message.tool_call_id));
  return messages.flatMap(message => [
    message,
    ...(message.tool_calls ?? []).filter(call => !answered.has(call.id)).map(call => ({
      role: "tool", tool_call_id: call.id, content: "No result was given.",
    })),
  ]);
}

async function contentOf(parts) {
  if (parts.every(part => part.kind === "text")) return parts.map(part => part.text).join("\n");
  return Promise.all(parts.map(async part => {
    switch (part.kind) {
      case "text": return { type: "text", text: part.text };
      case "image": return { type: "image_url", image_url: { url: await dataURL(part.blob) } };
      case "audio": return { type: "input_audio", input_audio: { data: await base64(part.blob), format: formatOf(part.blob) } };
      default: return { type: "input_video", input_video: { data: await base64(part.blob) } };
    }
  }));
}

const formatOf = blob => blob.type === "audio/mpeg" || blob.type === "audio/mp3" ? "mp3" : "wav";

/** Reads messages of the OpenAI API. @throws {Error} whose sentence names what is wrong and where. */
export function fromOpenAI(messages) {
  if (!Array.isArray(messages)) throw new Error("“messages” is not a list");
  let system = "";
  const result = [];
  messages.forEach((message, index) => {
    const place = `messages[${index}]`;
    switch (message?.role) {
      case "system":
      case "developer":
        system = textOf(message.content, place);
        break;
      case "user":
        result.push({ role: "user", parts: partsOf(message.content, place) });
        break;
      case "assistant":
        result.push({
          role: "assistant",
          text: textOf(message.content ?? "", place),
          toolCalls: (message.tool_calls ?? []).map(call => ({
            id: String(call.id), name: String(call.function?.name), arguments: String(call.function?.arguments ?? "{}"),
          })),
        });
        break;
      case "tool":
        result.push({ role: "tool", id: String(message.tool_call_id), text: textOf(message.content, place) });
        break;
      default:
        throw new Error(`${place}.role is ${JSON.stringify(message?.role)}; known are system, user, assistant and tool`);
    }
  });
  return { system, messages: result };
}

function textOf(content, place) {
  if (typeof content === "string") return content;
  if (Array.isArray(content)) return content.filter(part => part?.type === "text").map(part => String(part.text)).join("\n");
  throw new Error(`${place}.content is neither text nor a list of parts`);
}

function partsOf(content, place) {
  if (typeof content === "string") return [{ kind: "text", text: content }];
  if (!Array.isArray(content)) throw new Error(`${place}.content is neither text nor a list of parts`);
  return content.map((part, index) => {
    switch (part?.type) {
      case "text": return { kind: "text", text: String(part.text) };
      case "image_url": return media("image", part.image_url?.url ?? part.image_url, "image/png", `${place}.content[${index}]`);
      case "input_audio":
        return media("audio", part.input_audio?.data, part.input_audio?.format === "mp3" ? "audio/mpeg" : "audio/wav",
          `${place}.content[${index}]`);
      case "input_video":
        return media("video", part.input_video?.data ?? part.input_video?.url, "video/mp4", `${place}.content[${index}]`);
      default:
        throw new Error(`${place}.content[${index}].type is ${JSON.stringify(part?.type)}; `
          + "known are text, image_url, input_audio and input_video");
    }
  });
}

function media(kind, source, type, place) {
  if (typeof source !== "string") throw new Error(`${place} has no data`);
  if (/^https?:/.test(source)) throw new Error(`${place} points to the web; only media that the file holds can be read`);
  const url = /^data:([^;,]*)[^,]*,/.exec(source);
  const blob = url ? blobOf(source.slice(url[0].length), url[1] || type) : blobOf(source, type);
  return { kind, blob, name: { image: "picture", audio: "sound", video: "video" }[kind] };
}
