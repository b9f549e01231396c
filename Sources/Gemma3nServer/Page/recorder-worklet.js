/** Samples handed to the page at once: some 20 times a second. */
const blockLength = 2048;

/** Hands the sound from the audio thread to the page, in blocks, channels averaged. */
class Recorder extends AudioWorkletProcessor {
  block = new Float32Array(blockLength);
  filled = 0;

  process([channels]) {
    for (let index = 0; index < (channels[0]?.length ?? 0); index += 1) {
      let sum = 0;
      for (const channel of channels) sum += channel[index];
      this.block[this.filled] = sum / channels.length;
      this.filled += 1;
      if (this.filled === blockLength) {
        this.port.postMessage(this.block, [this.block.buffer]);
        this.block = new Float32Array(blockLength);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
