import { element } from "./dom.js";

const addresses = new WeakMap();

/** An address for a blob that lives as long as the page; one per blob. */
export function addressOf(blob) {
  if (!addresses.has(blob)) addresses.set(blob, URL.createObjectURL(blob));
  return addresses.get(blob);
}

/** A picture, a player of sound, or one of video. */
export function mediaNode(part) {
  const source = addressOf(part.blob);
  switch (part.kind) {
    case "image": return element("img", { src: source, alt: part.name });
    case "audio": return element("audio", { src: source, controls: true, preload: "metadata", "aria-label": part.name });
    default: return element("video", { src: source, controls: true, preload: "metadata", "aria-label": part.name });
  }
}
