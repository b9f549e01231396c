/*
 * Conversations in the browser's own database, media included. Where the browser allows none (some private windows), they live
 * as long as the page.
 */

const store = "conversations";

export class History {
  #memory = new Map();

  static async open() {
    const history = new History();
    try {
      const request = indexedDB.open("gemma3n", 1);
      request.onupgradeneeded = () => request.result.createObjectStore(store, { keyPath: "id" });
      history.database = await settled(request);
    } catch {
      history.database = null;
    }
    return history;
  }

  get isLasting() {
    return this.database !== null;
  }

  /** All conversations, the one changed last first. */
  async all() {
    const found = this.database ? await this.#run("readonly", objects => objects.getAll()) : [...this.#memory.values()];
    return found.sort((a, b) => b.changed - a.changed);
  }

  async get(id) {
    return this.database ? this.#run("readonly", objects => objects.get(id)) : this.#memory.get(id);
  }

  async save(conversation) {
    if (this.database) await this.#run("readwrite", objects => objects.put(conversation));
    else this.#memory.set(conversation.id, conversation);
  }

  async delete(id) {
    if (this.database) await this.#run("readwrite", objects => objects.delete(id));
    else this.#memory.delete(id);
  }

  async #run(mode, work) {
    return settled(work(this.database.transaction(store, mode).objectStore(store)));
  }
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("another window holds the history"));
  });
}
