/*
 * A conversation: {id, title, created, changed, system, messages}; its messages are described in openai.js. Times are
 * milliseconds since 1970.
 */

export function newConversation(system = "") {
  const now = Date.now();
  return { id: crypto.randomUUID?.() ?? fallbackId(), title: "", created: now, changed: now, system, messages: [] };
}

/** Browsers offer `randomUUID` only to pages from https:// or localhost. */
function fallbackId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, "0")).join("");
}

/** What the list of conversations shows: the given title, or how the first question begins. */
export function titleOf(conversation) {
  if (conversation.title) return conversation.title;
  const first = conversation.messages.find(message => message.role === "user");
  const text = first ? textOf(first).replace(/\s+/g, " ").trim() : "";
  if (text) return text.length > 60 ? `${text.slice(0, 59)}…` : text;
  const kinds = { image: "A picture", audio: "A sound", video: "A video" };
  return kinds[first?.parts[0]?.kind] ?? "New conversation";
}

export function textOf(message) {
  if (message.role !== "user") return message.text;
  return message.parts.filter(part => part.kind === "text").map(part => part.text).join("\n");
}

/** Whether every word of a search stands in a conversation. */
export function matches(conversation, search) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const text = [titleOf(conversation), ...conversation.messages.map(textOf)].join("\n").toLowerCase();
  return words.every(word => text.includes(word));
}

/** The calls of the last answer that have no result yet. */
export function openCalls(conversation) {
  const { messages } = conversation;
  const last = messages.findLastIndex(message => message.role === "assistant");
  if (last < 0 || messages.slice(last + 1).some(message => message.role === "user")) return [];
  const given = new Set(messages.slice(last + 1).map(message => message.id));
  return messages[last].toolCalls.filter(call => !given.has(call.id));
}

/** Takes away the last question's answers. */
export function dropAnswer(conversation) {
  const question = conversation.messages.findLastIndex(message => message.role === "user");
  conversation.messages.length = question + 1;
}
