import { waveOf } from "./wave.js";

/** Records the microphone. `stop()` gives a WAV file of 16 kHz; `cancel()` gives nothing. */
export class Recorder {
  #blocks = [];

  /** @param {(level: number) => void} onLevel Called with the loudness of every block, 0…1. */
  static async start(onLevel = () => {}) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("Browsers give the microphone only to pages from https:// or localhost.");
    }
    const recorder = new Recorder();
    try {
      recorder.stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      throw new Error(error.name === "NotFoundError" ? "There is no microphone." : "The browser did not allow the microphone.");
    }
    recorder.context = new AudioContext();
    await recorder.context.audioWorklet.addModule(new URL("recorder-worklet.js", import.meta.url));
    const node = new AudioWorkletNode(recorder.context, "recorder", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => {
      recorder.#blocks.push(data);
      onLevel(data.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0));
    };
    recorder.context.createMediaStreamSource(recorder.stream).connect(node);
    return recorder;
  }

  get seconds() {
    return this.#blocks.reduce((sum, block) => sum + block.length, 0) / this.context.sampleRate;
  }

  async stop() {
    const rate = this.context.sampleRate;
    await this.cancel();
    const length = this.#blocks.reduce((sum, block) => sum + block.length, 0);
    if (length === 0) throw new Error("The microphone gave no sound.");
    const buffer = new AudioBuffer({ length, sampleRate: rate, numberOfChannels: 1 });
    let offset = 0;
    for (const block of this.#blocks) {
      buffer.copyToChannel(block, 0, offset);
      offset += block.length;
    }
    return waveOf(buffer);
  }

  async cancel() {
    for (const track of this.stream.getTracks()) track.stop();
    await this.context.close();
  }
}
