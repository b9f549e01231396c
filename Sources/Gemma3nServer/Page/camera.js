import { byId } from "./dom.js";

/**
 * Shows what the camera sees and takes a picture of it: a JPEG file, or `null` when the user closes the view.
 * @throws {Error} whose sentence says why there is no camera.
 */
export async function takePicture() {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error("Browsers give the camera only to pages from https:// or localhost.");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    throw new Error(error.name === "NotFoundError" ? "There is no camera." : "The browser did not allow the camera.");
  }
  const dialog = byId("camera-dialog");
  const view = byId("camera-view");
  const take = byId("camera-take");
  take.disabled = true;
  view.onloadeddata = () => { take.disabled = false; };
  view.srcObject = stream;
  dialog.showModal();
  const wasTaken = await new Promise(resolve => {
    take.onclick = () => resolve(true);
    byId("camera-cancel").onclick = () => resolve(false);
    dialog.onclose = () => resolve(false);
  });
  const picture = wasTaken ? await frameOf(view) : null;
  for (const track of stream.getTracks()) track.stop();
  view.srcObject = null;
  dialog.close();
  return picture;
}

async function frameOf(view) {
  const canvas = document.createElement("canvas");
  canvas.width = view.videoWidth;
  canvas.height = view.videoHeight;
  canvas.getContext("2d").drawImage(view, 0, 0);
  const blob = await new Promise(resolve => canvas.toBlob(resolve, "image/jpeg", 0.92));
  return new File([blob], "picture.jpg", { type: "image/jpeg" });
}
