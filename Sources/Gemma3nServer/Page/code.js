import { element, icon } from "./dom.js";

/** Code in a frame with its language and a button that copies it. */
export function codeBlock(code, language = "") {
  const label = element("span", {}, "Copy");
  const copy = async () => {
    label.textContent = await copied(code) ? "Copied" : "Not allowed";
    setTimeout(() => { label.textContent = "Copy"; }, 2000);
  };
  return element("div", { class: "code" },
    element("div", { class: "code-head" },
      element("span", {}, language || "code"),
      element("button", { type: "button", class: "quiet small", onclick: copy }, icon("copy"), label)),
    element("pre", { tabindex: "0", role: "group", "aria-label": language ? `Code, ${language}` : "Code" }, element("code", {}, code)));
}

/** Puts text on the clipboard and tells whether the browser let it; pages that came over plain HTTP have the old way only. */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { class: "offscreen", value: text });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
