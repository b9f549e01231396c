import { byId } from "./dom.js";

const place = "gemma3n.key";

export function storedKey() {
  try {
    return sessionStorage.getItem(place);
  } catch {
    return null;
  }
}

/** Asks for the server's key, keeps it until the tab closes, and tells whether one was given. */
export async function askForKey(message) {
  const dialog = byId("key-dialog");
  const field = byId("key");
  byId("key-message").textContent = message;
  field.value = "";
  if (dialog.open) return false;
  dialog.returnValue = "";
  dialog.showModal();
  const isGiven = await new Promise(resolve => {
    byId("key-form").onsubmit = () => resolve(true);
    byId("key-cancel").onclick = () => dialog.close();
    dialog.onclose = () => resolve(false);
  });
  if (isGiven) {
    try {
      sessionStorage.setItem(place, field.value.trim());
    } catch {
      return false;
    }
  }
  return isGiven;
}
