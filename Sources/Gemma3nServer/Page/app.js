import { Composer } from "./composer.js";
import { dropAnswer, newConversation, openCalls, titleOf } from "./conversation.js";
import { Dialogue } from "./dialogue.js";
import { byId, element, icon } from "./dom.js";
import { History } from "./history.js";
import { askForKey, storedKey } from "./keydialog.js";
import { announce, notice } from "./notices.js";
import { OptionsPanel } from "./optionspanel.js";
import { Panel, Tabs } from "./panels.js";
import { ServerEngine } from "./server.js";
import { Settings } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { SizeSlider } from "./sizes.js";
import { startTheme } from "./theme.js";
import { Transcript } from "./transcript.js";
import { download, exported, imported } from "./transfer.js";

/** Milliseconds between two savings of an answer that is being written. */
const savingPause = 2000;

const settings = new Settings();
startTheme(settings);

const engine = new ServerEngine(storedKey);
const history = await History.open();
let conversation = newConversation(settings.system);
let models = [];
let lastSaved = 0;

const deleted = new Set();
const dialogue = new Dialogue(engine, asked => {
  transcript.changed();
  if (Date.now() - lastSaved > savingPause) save(asked, { isQuiet: true });
});
const transcript = new Transcript({ edit, again, giveResult }, () => dialogue.isAnswering);
const composer = new Composer({ send, stop: () => dialogue.stop(), editLast: edit });
const options = new OptionsPanel(settings, showModes);
const sizes = new SizeSlider(settings);
const sidebar = new Sidebar({ open, rename, delete: remove, export: exportOne });
const historyPanel = new Panel("history", {
  isOpen: settings.showsHistory,
  onToggle: isOpen => settings.set("showsHistory", isOpen),
});
const optionsPanel = new Panel("options");
const tabs = new Tabs(byId("tabs"));

// Asking

async function send(parts, isChange) {
  if (isChange) {
    dropAnswer(conversation);
    conversation.messages.pop();
  }
  conversation.messages.push({ role: "user", parts });
  transcript.follows = true;
  await answer();
}

async function again() {
  if (dialogue.isAnswering) return;
  dropAnswer(conversation);
  await answer();
}

async function giveResult(call, text) {
  if (dialogue.isAnswering) return;
  conversation.messages.push({ role: "tool", id: call.id, text });
  if (openCalls(conversation).length === 0) await answer();
  else transcript.show(conversation);
}

function edit() {
  const question = conversation.messages.findLast(message => message.role === "user");
  if (question && !dialogue.isAnswering) composer.edit(question);
}

async function answer() {
  const asked = conversation;
  asked.changed = Date.now();
  const { request, problem } = options.request;
  if (problem) {
    fail(asked, problem);
    return;
  }
  composer.setAnswering(true);
  announce("Answering");
  await save(asked);
  const given = await dialogue.answer(asked, { model: settings.model || undefined, size: sizes.chosen, ...request });
  composer.setAnswering(false);
  announce(summary(given));
  transcript.changed();
  await save(asked);
  if (given?.error?.kind === "unauthorized" && await askForKey(given.error.message)) {
    await loadModels();
    await again();
  } else if (document.activeElement === document.body) {
    composer.focus();
  }
}

function fail(asked, message) {
  asked.messages.push({ role: "assistant", text: "", toolCalls: [], state: "failed", statistics: null, error: { kind: "rejected", message } });
  transcript.show(asked);
  save(asked);
}

function summary(given) {
  switch (given?.state) {
    case "done": return given.toolCalls.length > 0 ? "A tool waits for its result" : "The answer is complete";
    case "stopped": return "Stopped";
    default: return "";
  }
}

// Conversations

/** Keeps a conversation, unless it was deleted while its answer was being written. */
async function save(saved, { isQuiet = false } = {}) {
  if (deleted.has(saved.id)) return;
  lastSaved = Date.now();
  try {
    await history.save(saved);
  } catch (error) {
    if (!isQuiet) notice(`This conversation could not be kept: ${error.message}`);
    return;
  }
  if (!isQuiet) await showHistory();
}

async function showHistory() {
  sidebar.show(await history.all(), conversation.id);
  byId("title").textContent = titleOf(conversation);
  const address = conversation.messages.length > 0 ? `#${conversation.id}` : location.pathname + location.search;
  window.history.replaceState(null, "", address);
  document.title = conversation.messages.length > 0 ? `${titleOf(conversation)} – Gemma 3n` : "Gemma 3n";
}

async function show(chosen) {
  dialogue.stop();
  composer.cancelEditing();
  conversation = chosen;
  byId("system").value = conversation.system;
  transcript.show(conversation);
  await showHistory();
}

async function open(id) {
  historyPanel.closeIfOver();
  if (id === conversation.id) return;
  const found = await history.get(id);
  if (found) await show(settledMessages(found));
}

/** Answers that were being written when the page closed are stopped ones. */
function settledMessages(found) {
  for (const message of found.messages) {
    if (message.state === "waiting" || message.state === "writing") message.state = "stopped";
  }
  return found;
}

function startNew() {
  historyPanel.closeIfOver();
  show(newConversation(settings.system));
  composer.focus();
}

async function remove(removed) {
  const next = document.querySelector(`[data-id="${removed.id}"]`)?.nextElementSibling?.querySelector("button");
  deleted.add(removed.id);
  if (removed.id === conversation.id) await show(newConversation(settings.system));
  await history.delete(removed.id);
  next?.focus();
  await showHistory();
  if (!next) byId("new").focus();
  notice(`“${titleOf(removed)}” is deleted.`, {
    label: "Undo",
    run: async () => {
      deleted.delete(removed.id);
      await save(removed);
    },
  });
}

function rename(renamed) {
  const dialog = byId("rename-dialog");
  const field = byId("rename-text");
  field.value = titleOf(renamed);
  byId("rename-cancel").onclick = () => dialog.close();
  byId("rename-form").onsubmit = async () => {
    const target = renamed.id === conversation.id ? conversation : renamed;
    target.title = field.value.trim();
    await save(target);
  };
  dialog.showModal();
  field.select();
}

async function exportOne(chosen) {
  download(await exported([chosen]), `${titleOf(chosen).replace(/[^\p{L}\p{N} _-]/gu, "").trim() || "conversation"}.json`);
}

async function importFile(file) {
  try {
    const found = imported(await file.text());
    for (const entry of found) await history.save(entry);
    if (found.length > 0) await show(found[0]);
    announce(`${found.length} conversations imported`);
  } catch (error) {
    notice(`${file.name}: ${error.message}`);
  }
}

// Models, modes, the start page

async function loadModels() {
  try {
    models = await engine.models();
  } catch (error) {
    if (error.kind === "unauthorized" && await askForKey(error.message)) return loadModels();
    notice(error.message, { label: "Try again", run: loadModels });
    return undefined;
  }
  const select = byId("model");
  if (!models.some(model => model.id === settings.model)) settings.set("model", models[0]?.id ?? "");
  select.replaceChildren(...models.map(model => element("option", { value: model.id }, model.id)));
  select.value = settings.model;
  select.hidden = models.length < 2;
  byId("model-name").textContent = models.length === 1 ? models[0].id : "";
  sizes.offer(models.find(model => model.id === settings.model));
  return undefined;
}

/** Says beside the question that answers keep to a schema or may call tools. */
function showModes() {
  const mode = (name, drawing, tab) => element("button", {
    type: "button", class: "mode", title: `${name}; open the options`, onclick: () => openOptions(tab),
  }, icon(drawing), name);
  const tools = options.tools.length;
  byId("modes").replaceChildren(...[
    settings.usesSchema && mode("Shape", "shape", "tab-schema"),
    tools > 0 && mode(tools === 1 ? "1 tool" : `${tools} tools`, "tool", "tab-tools"),
  ].filter(Boolean));
}

function openOptions(tab) {
  tabs.select(byId(tab));
  optionsPanel.toggle(true);
  byId(tab).focus();
}

function showStarts() {
  const starts = [
    ["attach", "Look at a picture", () => { composer.setText("What is in this picture?"); composer.choose(); }],
    ["microphone", "Listen to me", () => { composer.setText("Write down what I say."); composer.record(); }],
    ["shape", "Answer in a table", () => openOptions("tab-schema")],
    ["tool", "Use a tool", () => openOptions("tab-tools")],
  ];
  byId("starts").replaceChildren(...starts.map(([drawing, label, run]) =>
    element("button", { type: "button", class: "start", onclick: run }, icon(drawing), label)));
}

byId("new").addEventListener("click", startNew);
byId("import").addEventListener("click", () => byId("import-file").click());
byId("import-file").addEventListener("change", ({ target }) => {
  if (target.files[0]) importFile(target.files[0]);
  target.value = "";
});
byId("export-all").addEventListener("click", async () => {
  const all = await history.all();
  if (all.length > 0) download(await exported(all), "conversations.json");
  else notice("There is nothing to export yet.");
});
byId("model").addEventListener("change", ({ target }) => {
  settings.set("model", target.value);
  sizes.offer(models.find(model => model.id === target.value));
});
byId("system").addEventListener("input", ({ target }) => {
  conversation.system = target.value;
  settings.set("system", target.value);
});
document.addEventListener("keydown", event => {
  if (event.key === "Escape" && !event.defaultPrevented && dialogue.isAnswering) dialogue.stop();
  if (event.key.toLowerCase() === "o" && event.shiftKey && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    startNew();
  }
});
window.addEventListener("hashchange", () => open(location.hash.slice(1)));

showStarts();
showModes();
const kept = location.hash.length > 1 ? await history.get(location.hash.slice(1)) : undefined;
await show(kept ? settledMessages(kept) : conversation);
if (!history.isLasting) notice("This browser keeps no history here: conversations end with the page.");
composer.focus();
await loadModels();
