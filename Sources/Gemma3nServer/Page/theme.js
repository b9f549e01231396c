import { byId } from "./dom.js";
import { announce } from "./notices.js";

const names = { auto: "Colours as the system", light: "Light colours", dark: "Dark colours" };

/** The button that goes through: as the system, light, dark. */
export function startTheme(settings) {
  const button = byId("theme");
  const show = () => {
    if (settings.theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = settings.theme;
    button.setAttribute("aria-label", `${names[settings.theme] ?? names.auto}; change`);
    button.title = names[settings.theme] ?? names.auto;
  };
  button.addEventListener("click", () => {
    const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    const order = isDark ? ["auto", "light", "dark"] : ["auto", "dark", "light"];
    settings.set("theme", order[(order.indexOf(settings.theme) + 1) % order.length]);
    show();
    announce(names[settings.theme]);
  });
  show();
}
