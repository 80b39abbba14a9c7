// A column with a model, its response time and its list. Ids and titles are inserted as text, never as markup.

/** Creates an element with classes and children; strings become text nodes. */
export function node(name, classes, ...children) {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  made.append(...children);
  return made;
}

export const titleOf = item => item.title ?? item.item_id;

/** An item's title above its id, with the other columns of the catalogue and additional texts. */
export function nameOf(item, ...more) {
  const parts = item.title ? [node("code", "", item.item_id)] : [];
  for (const [column, value] of Object.entries(item.details ?? {})) {
    const detail = node("span", "", value);
    detail.title = column;
    parts.push(detail);
  }
  parts.push(...more);
  const small = node("small", "", ...parts.flatMap((part, at) => (at ? [" · ", part] : [part])));
  return node("span", "name", node("span", "title", titleOf(item)), ...(parts.length ? [small] : []));
}

const milliseconds = ms => (ms < 9.95 ? ms.toFixed(1) : ms.toFixed(0)) + " ms";
const score = x => (Number.isInteger(x) ? x.toLocaleString("en") : x.toPrecision(4));
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** The latest round-trip times as bars, scaled to the longest. */
function sparkline(times) {
  const svg = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const plot = svg("svg", { viewBox: "0 0 72 28", "aria-hidden": "true" });
  const longest = Math.max(...times);
  times.forEach((time, i) => {
    const height = Math.max(1, (28 * time) / longest), x = 72 - 3 * (times.length - i);
    plot.append(svg("rect", { x, y: 28 - height, width: 2, height, rx: 1 }));
  });
  return plot;
}

/** The list of one model. */
export class Column {
  /** `name`: the model's name in requests; null for the model that answers by default. */
  constructor(model, name, add) {
    Object.assign(this, { name, add, ranks: null, times: [], items: model.items });
    this.head = node("div", "head");
    this.latency = node("div", "latency");
    this.notice = node("p", "notice");
    this.list = node("ol", "list");
    // Safari does not expose lists without markers as lists to screen readers.
    this.list.setAttribute("role", "list");
    this.latency.hidden = this.notice.hidden = true;
    this.root = node("section", "column", this.head, this.latency, this.notice, this.list);
    this.showModel(model);
  }

  showModel({ name, kind, version }) {
    this.root.setAttribute("aria-label", `Recommendations of ${name}`);
    const items = `version ${version} · ${this.items.toLocaleString("en")} items`;
    this.head.replaceChildren(node("h2", "", name), node("span", "kind", kind), node("span", "soft", items));
  }

  showLatency({ roundTrip, server }) {
    this.times = [...this.times, roundTrip].slice(-24);
    const middle = [...this.times].sort((a, b) => a - b)[this.times.length >> 1];
    const parts = server === null ? [] : [`${milliseconds(server)} in the server`];
    if (this.times.length > 1) parts.push(`median ${milliseconds(middle)}`);
    const text = node("div", "", node("b", "", milliseconds(roundTrip)), " round trip", node("div", "soft", parts.join(" · ")));
    this.latency.replaceChildren(text, sparkline(this.times));
    this.latency.hidden = false;
  }

  /** Shows the response for a session, and the changes since the previous list; `describe` maps ids to items. */
  show(answer, timing, session, describe) {
    this.showModel(answer.model);
    this.showLatency(timing);
    const unknown = answer.unknown_items.length;
    const notices = [];
    if (!session.length) notices.push("The session is empty, so these are the most popular items.");
    else if (answer.fell_back) notices.push("This model knows no item of the session, so these are the most popular items.");
    else if (unknown === 1) notices.push("An item of the session is unknown to this model and was passed over.");
    else if (unknown) notices.push(`${unknown} items of the session are unknown to this model and were passed over.`);
    if (!answer.recommendations.length) notices.push("There is nothing to recommend.");
    this.notice.textContent = notices.join(" ");
    this.notice.hidden = !notices.length;

    const places = new Map([...this.list.children].map(line => [line.dataset.id, line.getBoundingClientRect().top]));
    const focused = this.list.contains(document.activeElement);
    const scores = answer.recommendations.map(entry => entry.score);
    const highest = Math.max(...scores), lowest = Math.min(0, ...scores);
    const before = this.ranks;
    this.ranks = new Map(answer.recommendations.map(entry => [entry.item_id, entry.rank]));
    this.list.replaceChildren(...answer.recommendations.map(entry => {
      const share = highest > lowest ? (entry.score - lowest) / (highest - lowest) : 1;
      return this.line(entry, session, describe, share, before);
    }));
    if (focused) this.list.querySelector("button")?.focus({ preventScroll: true });
    if (before && !calm.matches) this.move(places);
  }

  line(entry, session, describe, share, before) {
    const item = describe(entry.item_id), more = [];
    if (entry.because && entry.because.item_id !== entry.item_id) {
      // By its number in the session, since titles are long, and lines of equal height can be compared across columns.
      const like = node("span", "like", `like ${session.lastIndexOf(entry.because.item_id) + 1}`);
      like.title = `Like ${titleOf(describe(entry.because.item_id))}: cosine ${entry.because.similarity.toFixed(2)}`;
      more.push(like);
    }
    const name = nameOf(item, ...more), figure = node("span", "", score(entry.score));
    if (before) {
      const step = before.has(entry.item_id) ? before.get(entry.item_id) - entry.rank : null;
      if (step === null) figure.prepend(node("em", "fresh", "new"));
      else if (step) figure.prepend(node("em", step > 0 ? "up" : "down", `${step > 0 ? "▲" : "▼"} ${Math.abs(step)}`));
    }
    const figures = node("span", "figures", figure);
    const fill = node("i", "");
    fill.style.width = `${(3 + 97 * share).toFixed(1)}%`;
    const bar = node("span", "bar", fill);
    bar.setAttribute("aria-hidden", "true");
    const button = node("button", "item", node("span", "rank", entry.rank), name, figures, bar);
    button.type = "button";
    button.title = `Add ${titleOf(item)} to the session`;
    button.addEventListener("click", () => this.add(entry.item_id));
    const line = node("li", "", button);
    line.dataset.id = entry.item_id;
    return line;
  }

  /** Animates every line from the previous position of its item. */
  move(places) {
    for (const line of this.list.children) {
      const from = places.get(line.dataset.id);
      const way = from === undefined ? 0 : from - line.getBoundingClientRect().top;
      const start = from === undefined ? { opacity: 0 } : { transform: `translateY(${way}px)` };
      if (from === undefined || way) line.animate([start, {}], { duration: 280, easing: "ease-out" });
    }
  }

  /** Adds to each line the position of its item in the other list. */
  compareWith(other) {
    for (const line of this.list.children) {
      const figures = line.querySelector(".figures"), rank = other.ranks?.get(line.dataset.id);
      figures.querySelector(".other")?.remove();
      figures.append(node("span", "other", rank ? `other: ${rank}` : "only here"));
    }
  }

  /** Marks the line of an item, or none. */
  mark(id) {
    for (const line of this.list.children) line.firstChild.classList.toggle("same", line.dataset.id === id);
  }
}
