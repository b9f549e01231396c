const place = "gemma3n.settings";

/** Empty fields leave a value to the server. */
const defaults = {
  temperature: "", topP: "", topK: "", seed: "", maxTokens: "",
  system: "", schema: "", usesSchema: false,
  builtInTools: [], tools: "", toolChoice: "auto",
  model: "", sizes: {}, theme: "auto", showsHistory: true,
};

/** What the user chose, kept from visit to visit. */
export class Settings {
  constructor() {
    Object.assign(this, defaults);
    try {
      const kept = JSON.parse(localStorage.getItem(place) ?? "{}");
      for (const [name, value] of Object.entries(defaults)) {
        if (typeof kept[name] === typeof value && Array.isArray(kept[name]) === Array.isArray(value)) this[name] = kept[name];
      }
    } catch {
      // Kept settings that cannot be read are the default ones.
    }
  }

  set(name, value) {
    this[name] = value;
    try {
      localStorage.setItem(place, JSON.stringify(this));
    } catch {
      // A browser that keeps nothing still uses the settings until the page closes.
    }
  }

  /** The fields of a request that say how to choose tokens. */
  get sampling() {
    const number = text => text === "" ? undefined : Number(text);
    return {
      temperature: number(this.temperature),
      top_p: number(this.topP),
      top_k: number(this.topK),
      seed: number(this.seed),
      max_completion_tokens: number(this.maxTokens),
    };
  }
}
