import { newConversation, titleOf } from "./conversation.js";
import { fromOpenAI, toOpenAI } from "./openai.js";

/** Conversations as a JSON file; their messages are those of the OpenAI API, media in base64. */
export async function exported(conversations) {
  const entries = [];
  for (const conversation of conversations) {
    entries.push({
      title: titleOf(conversation),
      created: new Date(conversation.created).toISOString(),
      changed: new Date(conversation.changed).toISOString(),
      messages: await toOpenAI(conversation.system, conversation.messages),
    });
  }
  return new Blob([JSON.stringify(entries.length === 1 ? entries[0] : { conversations: entries }, null, 2)],
    { type: "application/json" });
}

/**
 * Reads what `exported` writes, a request's body, or a bare list of messages.
 * @throws {Error} whose sentence says what is wrong.
 */
export function imported(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`the file is not JSON: ${error.message}`);
  }
  const entries = Array.isArray(value) ? [{ messages: value }] : value?.conversations ?? [value];
  if (!Array.isArray(entries)) throw new Error("“conversations” is not a list");
  return entries.map(entry => {
    const { system, messages } = fromOpenAI(entry?.messages);
    const conversation = newConversation(system);
    conversation.messages = messages.map(message => message.role === "assistant" ? { ...message, state: "done" } : message);
    conversation.title = typeof entry.title === "string" ? entry.title : "";
    conversation.created = timeOf(entry.created) ?? conversation.created;
    conversation.changed = timeOf(entry.changed) ?? conversation.changed;
    return conversation;
  });
}

function timeOf(value) {
  const time = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}

/** Offers a blob as a download. */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
