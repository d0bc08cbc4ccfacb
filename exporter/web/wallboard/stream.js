// The live stream. It is read with fetch, not EventSource, to see heartbeats and why a connection is refused.

const SILENCE_MS = 12_000; // the exporter speaks every 5 s at the least
const RETRY_MS = [500, 1000, 2000, 4000];
const LONGEST_MS = 60_000; // that a refusal may keep it waiting
const HIDDEN_MS = 60_000; // a browser allows few connections to one server: a tab that nobody sees gives its own back

export class Stream {
  #id = "";
  #tries = 0;
  #stop = null;
  #timer = 0;
  #heard = Date.now();

  constructor(onMessage, onLost) {
    this.onMessage = onMessage;
    this.onLost = onLost;
    let hiding = 0;
    document.addEventListener("visibilitychange", () => {
      clearTimeout(hiding);
      if (document.hidden) hiding = setTimeout(() => this.#end(), HIDDEN_MS);
      else if (this.#stop === null && this.#timer === 0) this.start();
    });
  }

  async start() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const stop = new AbortController();
    this.#stop = stop;
    let why = "the connection has ended";
    let after = 0;
    try {
      await this.#read(stop);
    } catch (error) {
      why = stop.signal.aborted ? String(stop.signal.reason) : error.refused ?? "no connection";
      after = Math.min(error.after ?? 0, LONGEST_MS);
    }
    if (this.#stop !== stop) return; // ended because nobody looks
    this.#stop = null;
    this.onLost(this.#heard / 1000, why);
    // Spread: all that have lost an exporter at once must not come back at once.
    const wait = Math.max(after, RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)]) * (1 + Math.random() / 2);
    this.#timer = setTimeout(() => this.start(), wait);
  }

  #end() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const stop = this.#stop;
    this.#stop = null;
    stop?.abort("nobody looks");
  }

  async #read(stop) {
    let silence = setTimeout(() => stop.abort("it says nothing"), SILENCE_MS);
    try {
      const headers = this.#id ? { "Last-Event-ID": this.#id } : {};
      const answer = await fetch("/api/v1/events", { headers, signal: stop.signal, cache: "no-store" });
      if (!answer.ok) {
        const refused = answer.status === 503 ? "too many wallboards are open" : `it answers ${answer.status}`;
        // In seconds; a date is not understood.
        const after = Number(answer.headers.get("retry-after")) * 1000 || 0;
        throw Object.assign(new Error(refused), { refused, after });
      }
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(() => stop.abort("it says nothing"), SILENCE_MS);
        this.#heard = Date.now();
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) this.#take(block);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #take(block) {
    const fields = {};
    for (const line of block.split("\n")) {
      const colon = line.indexOf(":");
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
    }
    if (fields.data === undefined) return;
    this.#tries = 0;
    this.onMessage(fields.event, JSON.parse(fields.data));
    if (fields.id !== undefined) this.#id = fields.id;
  }
}
