import { byId } from "./dom.js";

/** The narrowest window, in pixels, that has room for a panel beside the conversation. */
const room = { history: "(min-width: 800px)", options: "(min-width: 1180px)" };

/**
 * A panel at the side. With room it stands beside the conversation, else it lies over it: then the rest cannot be reached until it
 * closes by its button, Escape, or a press beside it.
 */
export class Panel {
  constructor(name, { isOpen = false, onToggle = () => {} } = {}) {
    this.node = byId(name);
    this.opener = byId(`${name}-open`);
    this.media = matchMedia(room[name]);
    this.onToggle = onToggle;
    this.opener.addEventListener("click", () => this.toggle(this.node.hidden));
    byId(`${name}-close`).addEventListener("click", () => this.toggle(false));
    this.node.addEventListener("keydown", event => {
      if (event.key === "Escape" && !event.defaultPrevented) {
        event.preventDefault();
        this.toggle(false);
      }
    });
    document.addEventListener("pointerdown", event => {
      const isOutside = !this.node.contains(event.target) && !this.opener.contains(event.target);
      if (this.isOver && isOutside) this.toggle(false);
    });
    this.media.addEventListener("change", () => this.#show(!this.node.hidden));
    this.#show(isOpen && this.media.matches);
  }

  get isOver() {
    return !this.node.hidden && !this.media.matches;
  }

  toggle(isOpen) {
    this.#show(isOpen);
    if (this.media.matches) this.onToggle(isOpen);
    if (isOpen) this.node.querySelector("button, input, textarea, select").focus();
    else this.opener.focus();
  }

  closeIfOver() {
    if (this.isOver) this.#show(false);
  }

  #show(isOpen) {
    this.node.hidden = !isOpen;
    this.opener.setAttribute("aria-expanded", String(isOpen));
    byId("main").inert = [...document.querySelectorAll(".panel")].some(panel => !panel.hidden && !matchMedia(room[panel.id]).matches);
  }
}

/** Tabs after the ARIA pattern: arrow keys choose, Tab goes on into the panel. */
export class Tabs {
  constructor(root) {
    this.tabs = [...root.querySelectorAll("[role=tab]")];
    root.addEventListener("click", event => {
      const tab = event.target.closest("[role=tab]");
      if (tab) this.select(tab);
    });
    root.addEventListener("keydown", event => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const index = this.tabs.indexOf(document.activeElement);
      const next = event.key === "Home" ? 0 : event.key === "End" ? this.tabs.length - 1
        : step && (index + step + this.tabs.length) % this.tabs.length;
      if (next === undefined) return;
      event.preventDefault();
      this.select(this.tabs[next]);
      this.tabs[next].focus();
    });
  }

  select(chosen) {
    for (const tab of this.tabs) {
      const isChosen = tab === chosen;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      byId(tab.getAttribute("aria-controls")).hidden = !isChosen;
    }
  }
}
