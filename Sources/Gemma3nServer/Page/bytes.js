const encoded = new WeakMap();

/** A blob as a `data:` URL. The work is done once per blob: conversations are sent whole with every question. */
export function dataURL(blob) {
  if (!encoded.has(blob)) {
    encoded.set(blob, new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.onerror = () => reject(reader.error);
      reader.readAsDataURL(blob);
    }));
  }
  return encoded.get(blob);
}

export async function base64(blob) {
  const url = await dataURL(blob);
  return url.slice(url.indexOf(",") + 1);
}

/** The blob of base64 text. @throws {Error} when it is not base64. */
export function blobOf(text, type) {
  let binary;
  try {
    binary = atob(text);
  } catch {
    throw new Error("a medium is not base64");
  }
  return new Blob([Uint8Array.from(binary, character => character.charCodeAt(0))], { type });
}
