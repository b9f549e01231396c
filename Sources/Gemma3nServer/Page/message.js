import { copied } from "./code.js";
import { textOf } from "./conversation.js";
import { element, icon, iconButton } from "./dom.js";
import { MarkdownView } from "./markdown.js";
import { mediaNode } from "./media.js";
import { announce } from "./notices.js";
import { statisticsLine } from "./statistics.js";
import { StructuredView } from "./structured.js";
import { ToolCard } from "./toolcard.js";

/** A question: its media, and its text as it was typed. */
export class QuestionView {
  constructor(message, actions) {
    const media = message.parts.filter(part => part.kind !== "text");
    const text = textOf(message);
    this.edit = iconButton("edit", "Change this question", () => actions.edit());
    this.node = element("article", { class: "question", "aria-label": "You" },
      media.length > 0 && element("div", { class: "media" }, media.map(mediaNode)),
      text && element("div", { class: "bubble" }, text),
      element("div", { class: "actions" }, this.edit));
  }

  /** @param context {isLast, isBusy}: whether this is the last question, whether an answer is being written. */
  update(_, { isLast, isBusy }) {
    this.edit.hidden = !isLast || isBusy;
  }
}

/** An answer: its text or table, the tools it calls, what went wrong, statistics, and what can be done with it. */
export class AnswerView {
  #cards = [];
  #shownStatistics = null;
  #shownError = null;

  constructor(message, actions) {
    this.actions = actions;
    this.body = element("div", { class: "text" });
    this.text = message.isStructured ? new StructuredView() : new MarkdownView(this.body);
    if (message.isStructured) this.body.append(this.text.node);
    this.tools = element("div", { class: "tools" });
    this.waiting = element("div", { class: "waiting" }, element("span"), element("span"), element("span"),
      element("span", { class: "offscreen" }, "Thinking"));
    this.error = element("div");
    this.statistics = element("div");
    this.again = iconButton("again", "Answer again", () => actions.again());
    this.copy = iconButton("copy", "Copy the answer", () => this.#copy(message));
    this.node = element("article", { class: "answer", "aria-label": "Gemma" },
      this.body, this.waiting, this.tools, this.error,
      element("div", { class: "answer-foot" }, element("div", { class: "actions" }, this.copy, this.again), this.statistics));
  }

  /** @param context {isLast, isBusy, results}: `results` are those of tool calls, by id. */
  update(message, { isLast, isBusy, results }) {
    const isWritten = message.state === "waiting" || message.state === "writing";
    this.node.setAttribute("aria-busy", String(isWritten));
    this.node.classList.toggle("writing", message.state === "writing");
    this.waiting.hidden = message.state !== "waiting";
    this.body.hidden = message.text === "";
    if (message.text) this.text.update(message.text);
    this.#updateTools(message, results, isLast && !isBusy);
    this.#updateError(message, isLast);
    this.copy.hidden = isWritten || message.text === "";
    this.again.hidden = !isLast || isBusy || message.state === "failed";
    if (message.statistics !== this.#shownStatistics) {
      this.#shownStatistics = message.statistics;
      const shown = message.statistics && (message.statistics.tokens > 0 || message.state === "done");
      this.statistics.replaceChildren(...(shown ? [statisticsLine(message.statistics, message.finish)] : []));
    }
  }

  #updateTools(message, results, canGive) {
    message.toolCalls.forEach((call, index) => {
      if (!this.#cards[index]) {
        this.#cards[index] = new ToolCard(this.actions.giveResult);
        this.tools.append(this.#cards[index].node);
      }
      this.#cards[index].update(call, results.get(call.id), canGive && message.state === "done");
    });
  }

  #updateError(message, isLast) {
    const key = message.error ? `${message.error.message} ${isLast}` : message.state === "stopped" ? "stopped" : null;
    if (key === this.#shownError) return;
    this.#shownError = key;
    if (message.error) this.error.replaceChildren(errorNode(message.error, isLast && this.actions.again));
    else this.error.replaceChildren(...(key ? [element("p", { class: "hint" }, "Stopped.")] : []));
  }

  async #copy(message) {
    announce(await copied(message.text) ? "Copied" : "The browser did not allow copying");
  }
}

/** What kept the answer from coming; where the server named a time, the button waits for it. */
function errorNode(error, again) {
  const label = element("span", {}, "Try again");
  const button = again && element("button", { type: "button", class: "quiet small", onclick: again }, icon("again"), label);
  if (button && error.retryAfter > 0) {
    const until = Date.now() + error.retryAfter * 1000;
    const tick = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      button.disabled = left > 0;
      label.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
      if (left > 0) setTimeout(tick, 250);
    };
    tick();
  }
  const advice = {
    tooLong: "A new conversation, a shorter question or fewer media will fit.",
    unreachable: "Your question is kept.",
  }[error.kind];
  return element("div", { class: "error", role: "alert" }, icon("warning"),
    element("div", {}, element("p", {}, error.message), advice && element("p", { class: "hint" }, advice), button));
}
