/** Hands every block of samples from the audio thread to the page, channels averaged. */
class Recorder extends AudioWorkletProcessor {
  process([channels]) {
    if (channels.length > 0) {
      const mono = new Float32Array(channels[0].length);
      for (const channel of channels) {
        for (let index = 0; index < mono.length; index += 1) mono[index] += channel[index] / channels.length;
      }
      this.port.postMessage(mono, [mono.buffer]);
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
