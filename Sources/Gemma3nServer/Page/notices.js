import { byId, element, iconButton } from "./dom.js";

/** Says something to screen readers only. */
export function announce(text) {
  byId("status").textContent = text;
}

/** Shows a sentence for a while; an action beside it can be chosen as long as it stands. */
export function notice(text, action) {
  const close = () => node.remove();
  const node = element("div", { class: "notice" },
    element("p", {}, text),
    action && element("button", { type: "button", class: "quiet small", onclick: () => { close(); action.run(); } }, action.label),
    iconButton("close", "Dismiss", close));
  byId("notices").append(node);
  while (byId("notices").children.length > 3) byId("notices").firstChild.remove();
  setTimeout(close, 12_000);
}
