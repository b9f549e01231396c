import { partOf } from "./attachments.js";
import { byId, element, icon, iconButton } from "./dom.js";
import { addressOf } from "./media.js";
import { announce, notice } from "./notices.js";
import { Recorder } from "./recorder.js";
import { takePicture } from "./camera.js";

/** Where a question is written: text, attached media, the microphone; Send, and Stop while an answer is written. */
export class Composer {
  #parts = [];
  #recorder = null;
  #isAnswering = false;
  #kept = null;

  /** @param actions {send(parts), stop(), editLast()} */
  constructor(actions) {
    this.actions = actions;
    this.form = byId("composer");
    this.question = byId("question");
    this.form.addEventListener("submit", event => {
      event.preventDefault();
      this.#send();
    });
    this.question.addEventListener("keydown", event => this.#key(event));
    this.question.addEventListener("input", () => this.#resize());
    this.question.addEventListener("paste", event => {
      const files = [...event.clipboardData.files];
      if (files.length === 0) return;
      event.preventDefault();
      this.add(files);
    });
    byId("stop").addEventListener("click", () => actions.stop());
    byId("attach").addEventListener("click", () => this.choose());
    byId("files").addEventListener("change", ({ target }) => {
      this.add([...target.files]);
      target.value = "";
    });
    byId("microphone").addEventListener("click", () => this.record());
    byId("recording-done").addEventListener("click", () => this.#finishRecording());
    byId("recording-cancel").addEventListener("click", () => this.#cancelRecording());
    byId("camera").addEventListener("click", async () => {
      try {
        const picture = await takePicture();
        if (picture) this.add([picture]);
      } catch (error) {
        notice(error.message);
      }
      this.focus();
    });
    byId("editing-cancel").addEventListener("click", () => this.cancelEditing());
    this.#takeDrops();
  }

  get isEditing() {
    return this.#kept !== null;
  }

  focus() {
    this.question.focus();
  }

  choose() {
    byId("files").click();
  }

  setAnswering(isAnswering) {
    this.#isAnswering = isAnswering;
    const hadFocus = document.activeElement === byId("stop") || document.activeElement === byId("send");
    byId("send").hidden = isAnswering;
    byId("stop").hidden = !isAnswering;
    if (hadFocus) (isAnswering ? byId("stop") : this.question).focus();
  }

  setText(text) {
    this.question.value = text;
    this.#resize();
    this.focus();
  }

  /** Puts a sent question back to be changed; what was being written comes back afterwards. */
  edit(message) {
    this.#kept ??= { text: this.question.value, parts: this.#parts };
    this.#load(message.parts);
    byId("editing").hidden = false;
    this.focus();
  }

  cancelEditing() {
    if (!this.#kept) return;
    this.#load([...this.#kept.parts, { kind: "text", text: this.#kept.text }]);
    this.#kept = null;
    byId("editing").hidden = true;
    this.focus();
  }

  async add(files) {
    for (const file of files) {
      try {
        this.#parts.push(await partOf(file));
        announce(`${file.name || "A file"} attached`);
      } catch (error) {
        notice(error.message);
      }
    }
    this.#showParts();
    this.focus();
  }

  async record() {
    if (this.#recorder) return;
    try {
      this.#recorder = await Recorder.start(level => { byId("level").value = level; });
    } catch (error) {
      notice(error.message);
      return;
    }
    byId("recording").hidden = false;
    byId("microphone").disabled = true;
    byId("recording-done").focus();
    announce("Recording");
    this.timer = setInterval(() => {
      const seconds = Math.floor(this.#recorder.seconds);
      byId("recorded").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    }, 250);
  }

  #load(parts) {
    this.#parts = parts.filter(part => part.kind !== "text");
    this.question.value = parts.filter(part => part.kind === "text").map(part => part.text).join("\n");
    this.#showParts();
    this.#resize();
  }

  #send() {
    const text = this.question.value.trim();
    if (this.#isAnswering || this.#recorder || (text === "" && this.#parts.length === 0)) return;
    const parts = text ? [...this.#parts, { kind: "text", text }] : this.#parts;
    const isChange = this.isEditing;
    this.#kept = null;
    byId("editing").hidden = true;
    this.#load([]);
    this.actions.send(parts, isChange);
  }

  #key(event) {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#send();
    } else if (event.key === "Escape" && this.isEditing) {
      event.preventDefault();
      this.cancelEditing();
    } else if (event.key === "ArrowUp" && this.question.value === "" && this.#parts.length === 0 && !this.#isAnswering) {
      event.preventDefault();
      this.actions.editLast();
    }
  }

  #resize() {
    this.question.style.height = "auto";
    this.question.style.height = `${this.question.scrollHeight}px`;
  }

  #showParts() {
    byId("attachments").replaceChildren(...this.#parts.map(part => element("li", {},
      part.kind === "image" ? element("img", { src: addressOf(part.blob), alt: "" }) : icon(part.kind === "audio" ? "microphone" : "camera"),
      element("span", { class: "name" }, part.name),
      iconButton("close", `Remove ${part.name}`, () => {
        this.#parts = this.#parts.filter(other => other !== part);
        this.#showParts();
        this.focus();
      }))));
  }

  async #finishRecording() {
    const recorder = this.#recorder;
    this.#endRecording();
    try {
      const wave = await recorder.stop();
      await this.add([new File([wave], "recording.wav", { type: "audio/wav" })]);
    } catch (error) {
      notice(error.message);
    }
    this.focus();
  }

  #cancelRecording() {
    this.#recorder.cancel();
    this.#endRecording();
    this.focus();
  }

  #endRecording() {
    clearInterval(this.timer);
    this.#recorder = null;
    byId("recording").hidden = true;
    byId("recorded").textContent = "0:00";
    byId("microphone").disabled = false;
  }

  #takeDrops() {
    const hasFiles = event => event.dataTransfer?.types.includes("Files");
    document.addEventListener("dragover", event => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      byId("drop").hidden = false;
    });
    document.addEventListener("dragleave", event => {
      if (event.relatedTarget === null) byId("drop").hidden = true;
    });
    document.addEventListener("drop", event => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      byId("drop").hidden = true;
      this.add([...event.dataTransfer.files]);
    });
  }
}
