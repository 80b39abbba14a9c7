// The session and its requests. The page uses the public interface of the server (/docs).
import { Filters } from "./filters.js";
import { Column, nameOf, node, titleOf } from "./lists.js";
import { Replay } from "./replay.js";

const $ = id => document.getElementById(id);
const search = $("search"), suggestions = $("suggestions"), chips = $("chips");

let session = [];
let columns = [];
let popular = [];
/** The key, in memory only, since a stored one can be stolen. */
let key = null;
/** Incremented with every change, so that late responses to earlier ones are dropped. */
let turn = 0;
const known = new Map();
const describe = id => known.get(id) ?? { item_id: id };

// ---- Requests

class NeedsKey extends Error {}

/** Sends a request; returns the response and its duration. Throws an error with a sentence as its message. */
async function ask(method, path, body) {
  const headers = {};
  if (body) headers["content-type"] = "application/json";
  if (key) headers.authorization = `Bearer ${key}`;
  const started = performance.now();
  let response, text;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store", credentials: "omit" });
    text = await response.text();
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  const roundTrip = performance.now() - started;
  const duration = /\btotal;dur=([\d.]+)/.exec(response.headers.get("server-timing") ?? "");
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new Error(`The server answered ${response.status} and no JSON: is something in front of it?`);
  }
  if (response.status === 401) throw new NeedsKey(key ? "The server does not take this key." : "");
  if (!response.ok) throw new Error(`${response.status} ${answer.title}: ${answer.field ? answer.field + ": " : ""}${answer.detail}.`);
  return { answer, timing: { roundTrip, server: duration && Number(duration[1]) } };
}

const remember = items => items.forEach(item => known.set(item.item_id, item));

/** Looks up the titles of new ids. */
async function lookUp(ids) {
  const unmet = [...new Set(ids)].filter(id => !known.has(id));
  if (unmet.length) remember((await ask("POST", "/v1/items/lookup", { ids: unmet })).answer.items);
}

/** Runs a function that sends requests, and shows its errors. */
async function attempt(work) {
  try {
    await work();
  } catch (error) {
    if (error instanceof NeedsKey) {
      key = null;
      $("key-form").hidden = false;
      $("key").focus();
    }
    $("problem").textContent = error.message;
    $("problem").hidden = !error.message;
  }
}

// ---- The session

/** Sets the session, stores it in the URL, and requests recommendations. */
function setSession(items) {
  session = items;
  const hash = items.length ? "#items=" + items.map(encodeURIComponent).join(",") : "";
  history.replaceState(null, "", location.pathname + hash);
  return attempt(refresh);
}

const add = id => setSession([...session, id]);
const replay = new Replay(setSession);
const filters = new Filters(
  async query => {
    const { items } = (await ask("GET", `/v1/items?${query}`)).answer;
    remember(items);
    return items;
  },
  () => attempt(refresh),
);

/** The session in the URL: `#items=` and percent-encoded ids, separated by commas. */
function sessionOfAddress() {
  const items = /^#items=(.+)$/.exec(location.hash);
  try {
    return items ? items[1].split(",").filter(Boolean).map(decodeURIComponent) : [];
  } catch {
    return [];
  }
}

function drawChips() {
  const focused = [...chips.children].findIndex(chip => chip.contains(document.activeElement));
  chips.replaceChildren(...session.map((id, at) => {
    const item = describe(id), unknown = item.events === null;
    const remove = node("button", "", "×");
    remove.type = "button";
    remove.title = `Remove ${titleOf(item)}`;
    remove.setAttribute("aria-label", remove.title);
    remove.addEventListener("click", () => setSession(session.toSpliced(at, 1)));
    return node("li", unknown ? "unknown" : "", nameOf(item, ...(unknown ? ["unknown to the model"] : [])), remove);
  }));
  $("empty").hidden = session.length > 0;
  $("undo").disabled = $("clear").disabled = !session.length;
  chips.scrollTop = chips.scrollHeight;
  // Keeps the keyboard focus at the position of the removed item.
  if (focused >= 0) (chips.children[Math.min(focused, session.length - 1)]?.querySelector("button") ?? $("random")).focus();
}

const listRequest = () => ({ session, k: Number($("length").value), exclude_seen: $("exclude-seen").checked, why: $("why").checked });

/** Requests the models' lists one after the other, so that neither computation delays the other. */
async function refresh() {
  const own = ++turn;
  drawChips();
  const asked = listRequest(), said = [], truth = replay.next(session);
  if (truth !== null) await lookUp([truth]);
  replay.draw(session, describe);
  const only = await filters.ids();
  if (own !== turn) return;
  if (only) asked.only = only;
  for (const column of columns) {
    column.root.classList.add("waiting");
    try {
      const body = column.name === null ? asked : { ...asked, model: column.name };
      const { answer, timing } = await ask("POST", "/v1/recommend", body);
      const ids = answer.recommendations.flatMap(entry => [entry.item_id, ...(entry.because ? [entry.because.item_id] : [])]);
      await lookUp([...asked.session, ...ids]);
      if (own !== turn) return;
      column.show(answer, timing, asked, describe, truth);
      said.push(`${answer.recommendations.length} items by ${answer.model.name}`);
    } finally {
      column.root.classList.remove("waiting");
    }
  }
  drawChips();
  replay.draw(session, describe);
  if (columns.length === 2) {
    const [a, b] = columns;
    a.compareWith(b);
    b.compareWith(a);
    const both = [...a.ranks.keys()].filter(id => b.ranks.has(id)).length;
    $("shared").textContent = `${both} of ${a.ranks.size} items are in both lists.`;
    $("shared").hidden = !a.ranks.size;
  }
  $("problem").hidden = true;
  $("said").textContent = said.join(", ");
}

/** An example session: a popular item, and two clicks on recommendations of the served model. */
async function randomSession() {
  const one = list => list[Math.floor(Math.random() * list.length)];
  if (!popular.length) return;
  let items = [one(popular).item_id];
  for (let click = 0; click < 2; click++) {
    const { answer } = await ask("POST", "/v1/recommend", { session: items, k: 4, exclude_seen: true });
    if (!answer.recommendations.length) break;
    items = [...items, one(answer.recommendations).item_id];
  }
  await setSession(items);
}

// ---- The search: a combobox as in the ARIA practices

let options = [], active = -1, timer = 0, typed = 0;

const find = async query =>
  query.trim() ? (await ask("GET", `/v1/items?limit=8&query=${encodeURIComponent(query)}`)).answer.items : popular.slice(0, 8);

/** Shows items to choose from; `query`: what was searched for, to say that nothing was found. */
function showOptions(items, query = "") {
  options = items;
  suggestions.replaceChildren(...items.map((item, at) => {
    const events = node("span", "events", item.events === 1 ? "1 event" : `${item.events.toLocaleString("en")} events`);
    const line = node("li", "", nameOf(item), events);
    line.id = `option-${at}`;
    line.setAttribute("role", "option");
    // Before the box loses the focus, which closes the list.
    line.addEventListener("pointerdown", event => event.preventDefault());
    line.addEventListener("click", () => choose(item.item_id));
    return line;
  }));
  if (!items.length && query) {
    const none = node("li", "none", `No item matches “${query}”. Enter adds it as an id that the model does not know.`);
    none.setAttribute("role", "option");
    none.setAttribute("aria-disabled", "true");
    none.addEventListener("pointerdown", event => event.preventDefault());
    suggestions.append(none);
  }
  suggestions.hidden = !suggestions.children.length;
  search.setAttribute("aria-expanded", String(!suggestions.hidden));
  activate(-1);
}

function activate(at) {
  active = at;
  [...suggestions.children].forEach((line, i) => line.setAttribute("aria-selected", String(i === at)));
  if (at < 0) return search.removeAttribute("aria-activedescendant");
  search.setAttribute("aria-activedescendant", `option-${at}`);
  suggestions.children[at].scrollIntoView({ block: "nearest" });
}

function closeOptions() {
  clearTimeout(timer);
  typed++;
  showOptions([]);
}

function choose(id) {
  search.value = "";
  closeOptions();
  return add(id);
}

function suggest(delay) {
  clearTimeout(timer);
  const own = ++typed;
  timer = setTimeout(() => attempt(async () => {
    const query = search.value.trim(), items = await find(query);
    remember(items);
    if (own === typed && document.activeElement === search) showOptions(items, query);
  }), delay);
}

search.addEventListener("input", () => suggest(100));
search.addEventListener("focus", () => suggest(0));
search.addEventListener("blur", closeOptions);
search.addEventListener("keydown", event => {
  const { key: pressed } = event, step = { ArrowDown: 1, ArrowUp: -1 }[pressed];
  if (step) {
    event.preventDefault();
    if (suggestions.hidden) return suggest(0);
    if (!options.length) return;
    // One more position than options: no selection.
    const places = options.length + 1;
    activate(((active + 1 + step + places) % places) - 1);
  } else if (pressed === "Escape") {
    closeOptions();
  } else if (pressed === "Backspace" && !search.value && session.length) {
    setSession(session.slice(0, -1));
  } else if (pressed === "Enter") {
    event.preventDefault();
    if (active >= 0) return choose(options[active].item_id);
    const text = search.value;
    // The text may be an id unknown to the model, so it is used unchanged.
    if (text.trim()) attempt(async () => {
      const items = await find(text);
      const same = items.find(item => item.item_id === text) ?? items.find(item => item.item_id === text.trim());
      await choose((same ?? items[0])?.item_id ?? text.trim());
    });
  }
});

// ---- The rest

$("random").addEventListener("click", () => attempt(randomSession));
$("undo").addEventListener("click", () => setSession(session.slice(0, -1)));
$("clear").addEventListener("click", () => setSession([]));
for (const id of ["length", "exclude-seen", "why"]) $(id).addEventListener("change", () => attempt(refresh));
addEventListener("hashchange", () => setSession(sessionOfAddress()));
$("key-form").addEventListener("submit", event => {
  event.preventDefault();
  key = $("key").value.trim();
  $("key").value = "";
  $("key-form").hidden = true;
  $("problem").hidden = true;
  attempt(start);
});
for (const type of ["pointerover", "focusin"])
  $("columns").addEventListener(type, event => {
    const id = event.target.closest("li")?.dataset.id;
    columns.forEach(column => column.mark(columns.length > 1 ? id : undefined));
  });
$("columns").addEventListener("pointerleave", () => columns.forEach(column => column.mark(undefined)));

async function start() {
  const { models } = (await ask("GET", "/v1/models")).answer;
  const catalogue = (await ask("GET", "/v1/catalogue")).answer;
  replay.offer((await ask("GET", "/v1/examples")).answer.examples);
  filters.offer(catalogue);
  // Of no use for models without item vectors.
  $("why-box").hidden = !models.some(model => model.explains);
  columns = models.map((model, at) => new Column(model, at ? model.name : null, add, catalogue.pictures));
  $("columns").replaceChildren(...columns.map(column => column.root));
  popular = (await ask("GET", "/v1/items?limit=100")).answer.items;
  remember(popular);
  if (popular.some(item => item.title)) {
    search.placeholder = "Add an item by its title or id";
    $("only").placeholder = "words of a title, or an id";
  }
  session = sessionOfAddress();
  await refresh();
}

attempt(start);
