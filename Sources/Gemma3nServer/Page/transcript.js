import { byId } from "./dom.js";
import { AnswerView, QuestionView } from "./message.js";

/** Pixels from the end within which a growing answer keeps the end in sight. */
const near = 80;

/** Shows a conversation and keeps up with it. Views stay as long as their messages, so that focus and selections do. */
export class Transcript {
  #views = new Map();
  #isPlanned = false;
  #conversation = null;

  /** @param actions {edit(), again(), giveResult(call, text)} @param {() => boolean} isBusy */
  constructor(actions, isBusy) {
    this.root = byId("transcript");
    this.scroll = byId("scroll");
    this.latest = byId("latest");
    this.actions = actions;
    this.isBusy = isBusy;
    this.follows = true;
    this.scroll.addEventListener("scroll", () => {
      this.follows = this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < near;
      this.latest.hidden = this.follows;
    });
    this.latest.addEventListener("click", () => this.toEnd());
    const sizes = new ResizeObserver(() => { if (this.follows) this.toEnd(); });
    sizes.observe(this.root);
    sizes.observe(this.scroll);
  }

  show(conversation) {
    if (conversation !== this.#conversation) {
      this.#conversation = conversation;
      this.follows = true;
    }
    this.#update();
  }

  /** Shows what has changed, once per drawn frame. */
  changed() {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    requestAnimationFrame(() => {
      this.#isPlanned = false;
      this.#update();
    });
  }

  toEnd() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
    this.follows = true;
    this.latest.hidden = true;
  }

  #update() {
    const messages = this.#conversation.messages.filter(message => message.role !== "tool");
    const results = new Map(this.#conversation.messages.filter(({ role }) => role === "tool").map(({ id, text }) => [id, text]));
    const last = messages.at(-1);
    const lastQuestion = messages.findLast(message => message.role === "user");
    const isBusy = this.isBusy();
    for (const [message, view] of this.#views) {
      if (!messages.includes(message)) {
        view.node.remove();
        this.#views.delete(message);
      }
    }
    for (const message of messages) {
      let view = this.#views.get(message);
      if (!view) {
        view = message.role === "user" ? new QuestionView(message, this.actions) : new AnswerView(message, this.actions);
        this.#views.set(message, view);
        this.root.append(view.node);
      }
      view.update(message, { isLast: message === last || message === lastQuestion, isBusy, results });
    }
    byId("welcome").hidden = messages.length > 0;
  }
}
