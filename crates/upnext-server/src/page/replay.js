// Replays sessions of a test log: the lists are shown after each click, and the item that the visitor clicked next is marked.
import { nameOf, node } from "./lists.js";

const $ = id => document.getElementById(id);

export class Replay {
  /** The sessions of the server, each a list of ids; the one that is replayed, if any. */
  #sessions = [];
  #at = null;

  /** `setSession` replaces the session of the page. */
  constructor(setSession) {
    this.setSession = setSession;
    $("replay").addEventListener("click", () => this.#start(Math.floor(Math.random() * this.#sessions.length)));
    $("another").addEventListener("click", () => this.#start((this.#at + 1) % this.#sessions.length));
    $("forward").addEventListener("click", () => this.#forward());
    $("leave").addEventListener("click", () => {
      this.#at = null;
      this.setSession(this.session);
    });
  }

  /** Offers these sessions; none hides the button. */
  offer(examples) {
    this.#sessions = examples.map(example => example.items);
    $("replay").hidden = !this.#sessions.length;
    $("random").classList.toggle("main", !this.#sessions.length);
    this.#at = null;
  }

  get #items() {
    return this.#sessions[this.#at] ?? null;
  }

  #start(at) {
    this.#at = at;
    return this.setSession(this.#items.slice(0, 1));
  }

  /** Number of clicks of the page's session that are those of the visitor, from the first on. */
  #common() {
    const differs = this.#items.findIndex((id, at) => id !== this.session[at]);
    return differs < 0 ? this.#items.length : differs;
  }

  #forward() {
    const common = this.#common(), left = common < this.session.length;
    return this.setSession(this.#items.slice(0, Math.max(1, left ? common : common + 1)));
  }

  /** The item that the visitor clicked after the session; null if no session is replayed, or this is not its beginning. */
  next(session) {
    this.session = session;
    if (!this.#items || this.#common() !== session.length) return null;
    return this.#items[session.length] ?? null;
  }

  /** Shows where in the visitor's session the page is. */
  draw(session, describe) {
    const next = this.next(session), items = this.#items;
    $("replayed").hidden = !items;
    $("replay").hidden = Boolean(items) || !this.#sessions.length;
    if (!items) return;
    const parts = [node("b", "", `Test session ${this.#at + 1} of ${this.#sessions.length}`)];
    if (this.#common() < session.length) parts.push(". You left it: these clicks are not the visitor’s.");
    else if (next === null) parts.push(`. It ended after these ${items.length} clicks.`);
    else {
      parts.push(`, ${session.length} of ${items.length} clicks. Then the visitor clicked:`);
      parts.push(node("span", "truth", nameOf(describe(next))));
    }
    $("replayed-text").replaceChildren(...parts);
    const left = this.#common() < session.length;
    $("forward").textContent = left ? "Back to the visitor’s clicks" : "Next click";
    $("forward").hidden = next === null && !left;
  }
}
