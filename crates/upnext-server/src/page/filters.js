// Filters: only items with some words or with a value of a column of the catalogue are recommended. The page finds their
// ids by the item search, and sends them as `only`.
import { node } from "./lists.js";

const $ = id => document.getElementById(id);

/** Columns with a list to choose from, at most. */
const COLUMNS = 4;

export class Filters {
  #selects = [];
  #found = { asked: "", ids: null };
  #most = 1;

  /** `find` requests items by a query string; `changed` is called when a filter has changed. */
  constructor(find, changed) {
    Object.assign(this, { find, changed });
    let timer = 0;
    $("only").addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(changed, 250);
    });
    $("all").addEventListener("click", () => {
      $("only").value = "";
      this.#selects.forEach(select => (select.value = ""));
      changed();
    });
  }

  /** Offers the columns of the catalogue that have few values. */
  offer({ columns, most_items }) {
    this.#most = most_items;
    const few = columns.filter(column => column.values).slice(0, COLUMNS);
    this.#selects = few.map(({ name, values }) => {
      const options = ["", ...values].map(value => {
        const option = node("option", "", value === "" ? "any" : value);
        option.value = value && `${name}=${value}`;
        return option;
      });
      const select = node("select", "", ...options);
      select.addEventListener("change", this.changed);
      return select;
    });
    $("columns-to-filter").replaceChildren(...few.map(({ name }, at) => node("label", "", node("span", "", name), this.#selects[at])));
  }

  /** The ids of the items that the filters leave; null without a filter. */
  async ids() {
    const words = $("only").value.trim(), conditions = this.#selects.map(select => select.value).filter(Boolean);
    $("all").hidden = !words && !conditions.length;
    $("matches").textContent = "";
    if ($("all").hidden) return null;
    const asked = new URLSearchParams([["query", words], ["limit", this.#most], ...conditions.map(text => ["where", text])]).toString();
    if (asked !== this.#found.asked) this.#found = { asked, ids: (await this.find(asked)).map(item => item.item_id) };
    const { ids } = this.#found, count = ids.length.toLocaleString("en");
    if (!ids.length) $("matches").textContent = "No item matches.";
    else if (ids.length < this.#most) $("matches").textContent = ids.length === 1 ? "1 item matches." : `${count} items match.`;
    else $("matches").textContent = `Of the matching items, the ${count} most popular.`;
    return ids;
  }
}
