import { matches, titleOf } from "./conversation.js";
import { byId, element, iconButton } from "./dom.js";

/** The list of conversations, narrowed by the search field. */
export class Sidebar {
  #conversations = [];

  /** @param actions {open(id), rename(conversation), delete(conversation), export(conversation)} */
  constructor(actions) {
    this.actions = actions;
    byId("search").addEventListener("input", () => this.#show());
  }

  show(conversations, currentId) {
    this.#conversations = conversations;
    this.currentId = currentId;
    this.#show();
  }

  #show() {
    const search = byId("search").value;
    const found = this.#conversations.filter(conversation => matches(conversation, search));
    const focused = document.activeElement?.closest("#conversations li")?.dataset.id;
    byId("conversations").replaceChildren(...found.map(conversation => this.#item(conversation)));
    byId("no-conversations").hidden = found.length > 0;
    byId("no-conversations").textContent = search ? "Nothing found." : "Conversations are kept in this browser.";
    if (focused) byId("conversations").querySelector(`[data-id="${CSS.escape(focused)}"] button`)?.focus();
  }

  #item(conversation) {
    const { rename, delete: remove, export: save, open } = this.actions;
    const title = titleOf(conversation);
    const isCurrent = conversation.id === this.currentId;
    return element("li", { "data-id": conversation.id, class: isCurrent && "current" },
      element("button", { type: "button", class: "conversation", "aria-current": isCurrent && "true", title, onclick: () => open(conversation.id) },
        element("span", {}, title), element("time", { datetime: new Date(conversation.changed).toISOString() }, ago(conversation.changed))),
      element("div", { class: "conversation-actions" },
        iconButton("edit", `Rename ${title}`, () => rename(conversation)),
        iconButton("download", `Export ${title}`, () => save(conversation)),
        iconButton("delete", `Delete ${title}`, () => remove(conversation))));
  }
}

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

function ago(time) {
  const minutes = (time - Date.now()) / 60_000;
  if (minutes > -1) return "now";
  if (minutes > -60) return relative.format(Math.round(minutes), "minute");
  if (minutes > -24 * 60) return relative.format(Math.round(minutes / 60), "hour");
  if (minutes > -7 * 24 * 60) return relative.format(Math.round(minutes / 60 / 24), "day");
  return new Date(time).toLocaleDateString();
}
