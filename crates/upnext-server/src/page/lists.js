// A column with a model, its response time and its list. Ids and titles are inserted as text, never as markup.

/** Creates an element with classes and children; strings become text nodes. */
export function node(name, classes, ...children) {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  made.append(...children);
  return made;
}

export const titleOf = item => item.title ?? item.item_id;

/** An item's title above its id, with the other columns of the catalogue, each after its name, and additional texts. */
export function nameOf(item, ...more) {
  const parts = item.title ? [node("code", "", item.item_id)] : [];
  for (const [column, value] of Object.entries(item.details ?? {})) {
    parts.push(node("span", "", node("span", "column-name", `${column}: `), value));
  }
  parts.push(...more);
  const small = node("small", "", ...parts.flatMap((part, at) => (at ? [" · ", part] : [part])));
  return node("span", "name", node("span", "title", titleOf(item)), ...(parts.length ? [small] : []));
}

/** An item's picture; an empty frame if it has none or cannot be loaded. */
function pictureOf(item) {
  const frame = node("span", "picture");
  if (!item.image) return frame;
  const picture = node("img", "");
  // Set first: loading begins with the address.
  Object.assign(picture, { alt: "", loading: "lazy", decoding: "async", referrerPolicy: "no-referrer" });
  picture.addEventListener("error", () => picture.remove());
  picture.src = item.image;
  frame.append(picture);
  return frame;
}

const milliseconds = ms => (ms < 9.95 ? ms.toFixed(1) : ms.toFixed(0)) + " ms";
const score = x => (Number.isInteger(x) ? x.toLocaleString("en") : x.toPrecision(4)).replace("-", "−");
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
  /** `name`: the model's name in requests; null for the model that answers by default. `pictures`: whether items have some. */
  constructor(model, name, add, pictures) {
    Object.assign(this, { name, add, pictures, ranks: null, times: [], items: model.items });
    this.head = node("div", "head");
    this.latency = node("div", "latency");
    this.notice = node("p", "notice");
    this.truth = node("p", "truth-rank");
    this.titles = node("div", "titles");
    this.list = node("ol", "list");
    // Safari does not expose lists without markers as lists to screen readers.
    this.list.setAttribute("role", "list");
    this.latency.hidden = this.notice.hidden = this.truth.hidden = this.titles.hidden = true;
    this.root = node("section", "column", this.head, this.latency, this.notice, this.truth, this.titles, this.list);
    this.showModel(model);
  }

  showModel({ name, kind, version }) {
    this.root.setAttribute("aria-label", `Recommendations of ${name}`);
    const items = node("span", "soft", `version ${version.slice(0, 12)} · ${this.items.toLocaleString("en")} items`);
    items.title = `Version ${version}`;
    this.head.replaceChildren(node("h2", "", name), node("span", "kind", kind), items);
  }

  showLatency({ roundTrip, server }) {
    this.times = [...this.times, roundTrip].slice(-24);
    const middle = [...this.times].sort((a, b) => a - b)[this.times.length >> 1];
    const trip = `${milliseconds(roundTrip)} round trip`, first = server === null ? roundTrip : server;
    const parts = server === null ? [] : [trip];
    if (this.times.length > 1) parts.push(`median of the round trips ${milliseconds(middle)}`);
    const what = server === null ? " round trip" : " in the server";
    const text = node("div", "", node("b", "", milliseconds(first)), what, node("div", "soft", parts.join(" · ")));
    const bars = sparkline(this.times);
    bars.append(document.createElementNS("http://www.w3.org/2000/svg", "title"));
    bars.lastChild.textContent = "The latest round trips";
    this.latency.replaceChildren(text, ...(this.times.length > 1 ? [bars] : []));
    this.latency.hidden = false;
  }

  /**
   * Shows the response to a request, and the changes since the previous list if one click was added; `describe` maps ids to
   * items. `truth`: the id of the item that the visitor clicked next, if a session is replayed.
   */
  show(answer, timing, asked, describe, truth) {
    const { session } = asked;
    this.showModel(answer.model);
    this.showLatency(timing);
    const unknown = answer.unknown_items.length;
    const notices = [];
    if (!session.length) notices.push("The session is empty, so these are the most popular items.");
    else if (answer.fell_back) notices.push("This model knows no item of the session, so these are the most popular items.");
    else if (unknown === 1) notices.push("An item of the session is unknown to this model and was passed over.");
    else if (unknown) notices.push(`${unknown} items of the session are unknown to this model and were passed over.`);
    const cut = answer.events_left_out;
    if (cut) notices.push(cut === 1 ? "1 older event of the session was left out." : `${cut} older events of the session were left out.`);
    if (!answer.recommendations.length) notices.push(asked.only ? "No item passes the filters." : "There is nothing to recommend.");
    this.notice.textContent = notices.join(" ");
    this.notice.hidden = !notices.length;

    this.showTitles(answer);
    this.showTruth(answer, truth, (asked.exclude_seen && session.includes(truth)) || (asked.only && !asked.only.includes(truth)));
    const places = new Map([...this.list.children].map(line => [line.dataset.id, line.getBoundingClientRect().top]));
    const focused = this.list.contains(document.activeElement);
    const scores = answer.recommendations.map(entry => entry.score);
    const highest = Math.max(...scores), lowest = Math.min(0, ...scores);
    // What is new in a list and what moved is said of a click, not of another session or filter.
    const { session: earlier, ...settings } = this.asked ?? { session: [] }, { session: _, ...now } = asked;
    const isClick = earlier.length + 1 === session.length && earlier.every((id, at) => id === session[at]);
    const before = isClick && earlier.length && JSON.stringify(settings) === JSON.stringify(now) ? this.ranks : null;
    this.asked = asked;
    this.ranks = new Map(answer.recommendations.map(entry => [entry.item_id, entry.rank]));
    this.list.replaceChildren(...answer.recommendations.map(entry => {
      const share = highest > lowest ? (entry.score - lowest) / (highest - lowest) : 1;
      return this.line(entry, session, describe, share, before, truth);
    }));
    if (focused) this.list.querySelector("button")?.focus({ preventScroll: true });
    if (places.size && !calm.matches) this.move(places);
  }

  /** The header of the list. What its last column is depends on the answer. */
  showTitles(answer) {
    const popular = answer.fell_back || !answer.recommendations.length;
    const figure = node("span", "", popular ? "Events" : "Score");
    figure.title = popular ? "Number of training events" : "Comparable within this list only";
    this.titles.replaceChildren(node("span", "rank", "#"), node("span", "", "Item"), figure);
    this.titles.hidden = !answer.recommendations.length;
  }

  /** Says where the item that the visitor clicked next stands. */
  showTruth(answer, truth, isExcluded) {
    const rank = answer.recommendations.find(entry => entry.item_id === truth)?.rank;
    this.truth.textContent = rank ? `The visitor’s next click is number ${rank} here.`
      : isExcluded ? "The settings exclude the visitor’s next click from the list." : "The visitor’s next click is not in this list.";
    this.truth.classList.toggle("found", Boolean(rank));
    this.truth.hidden = truth === null;
  }

  line(entry, session, describe, share, before, truth) {
    const item = describe(entry.item_id), more = [];
    if (entry.because && entry.because.item_id !== entry.item_id) {
      // By its number in the session, since titles are long, and lines of equal height can be compared across columns.
      const like = node("span", "like", `like ${session.lastIndexOf(entry.because.item_id) + 1}`);
      like.title = `Like ${titleOf(describe(entry.because.item_id))}: cosine ${entry.because.similarity.toFixed(2)}`;
      more.push(like);
    }
    if (entry.item_id === truth) more.push(node("b", "", "✓ the visitor’s next click"));
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
    const picture = this.pictures ? [pictureOf(item)] : [];
    const button = node("button", "item", node("span", "rank", entry.rank), ...picture, name, figures, bar);
    button.classList.toggle("pictured", this.pictures);
    button.classList.toggle("truth", entry.item_id === truth);
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
      const place = node("span", "other", rank ? `other: ${rank}` : "only here");
      place.title = rank ? `Number ${rank} in the other list` : "Not in the other list";
      figures.append(place);
    }
  }

  /** Marks the line of an item, or none. */
  mark(id) {
    for (const line of this.list.children) line.firstChild.classList.toggle("same", line.dataset.id === id);
  }
}
