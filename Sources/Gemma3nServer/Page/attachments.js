import { waveOf } from "./wave.js";

const pictures = /^image\/(png|jpeg|webp|gif|bmp|tiff)$/;
const videos = /^video\/(mp4|quicktime|webm|x-matroska)$/;
const ready = /^audio\/(wav|x-wav|wave|vnd\.wave|mpeg|mp3)$/;

const byExtension = {
  png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", webp: "image/webp", gif: "image/gif", bmp: "image/bmp",
  tif: "image/tiff", tiff: "image/tiff", wav: "audio/wav", mp3: "audio/mpeg", m4a: "audio/mp4", ogg: "audio/ogg",
  opus: "audio/ogg", flac: "audio/flac", mp4: "video/mp4", mov: "video/quicktime", webm: "video/webm", mkv: "video/x-matroska",
};

/**
 * A file as a part of a message. Sound that is neither WAV nor MP3 is decoded here and becomes a WAV file of 16 kHz.
 * @throws {Error} whose sentence says what can be sent instead.
 */
export async function partOf(file) {
  const type = file.type || byExtension[file.name.split(".").pop().toLowerCase()] || "";
  const blob = file.type === type ? file : new Blob([file], { type });
  const name = file.name || "file";
  if (file.size === 0) throw new Error(`${name} is empty.`);
  if (pictures.test(type)) return { kind: "image", blob, name };
  if (videos.test(type)) return { kind: "video", blob, name };
  if (ready.test(type)) return { kind: "audio", blob: new Blob([blob], { type: /mp/.test(type) ? "audio/mpeg" : "audio/wav" }), name };
  if (type.startsWith("audio/")) return { kind: "audio", blob: await decoded(blob, name), name };
  throw new Error(`${name} cannot be sent${type ? ` (${type})` : ""}. `
    + "Pictures may be PNG, JPEG, WebP, GIF, BMP or TIFF, sound WAV, MP3, M4A, Ogg or FLAC, video MP4, MOV or WebM.");
}

async function decoded(blob, name) {
  const context = new OfflineAudioContext(1, 1, 48000);
  let buffer;
  try {
    buffer = await context.decodeAudioData(await blob.arrayBuffer());
  } catch {
    throw new Error(`This browser cannot decode ${name}. WAV and MP3 are sent as they are.`);
  }
  return waveOf(buffer);
}
