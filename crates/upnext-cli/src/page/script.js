// Sorts tables by a click on a heading, and keeps names in plots apart when models are shown or hidden. Without this
// script, pages are complete and only lack these two.
"use strict";
(() => {
  // ---- Tables

  const order = new Intl.Collator("en", { numeric: true });

  /** The number that a cell begins with, after signs such as ▲; NaN for texts and for missing figures. */
  const numberOf = text => parseFloat(text.replace(/^[^\w.+−-]+/, "").replaceAll(",", "").replace("−", "-"));

  function sort(table, column, heading) {
    const body = table.tBodies[0], text = row => (row.cells[column]?.textContent ?? "").trim();
    const rows = [...body.rows], isNumeric = column > 0 && rows.some(row => !Number.isNaN(numberOf(text(row))));
    // The first click on figures puts the largest first, on what a model costs the smallest.
    const before = heading.getAttribute("aria-sort"), isCost = /, (ms|MB|s)$/.test(heading.textContent.trim());
    const down = before ? before === "ascending" : isNumeric && !isCost;
    const compare = (a, b) => {
      if (!isNumeric) return order.compare(text(a), text(b)) * (down ? -1 : 1);
      const [x, y] = [a, b].map(row => numberOf(text(row)));
      // Missing figures are last in both directions.
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return down ? y - x : x - y;
    };
    body.append(...rows.sort(compare));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  }

  for (const table of document.querySelectorAll("table.figures, table.shares")) {
    if (table.tBodies[0].rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      if (!heading.textContent.trim()) return;
      const button = document.createElement("button");
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, column, heading));
      heading.append(button);
    });
  }

  // ---- Plots

  const LINE = 12;

  /** As `spread` of the program: moves heights apart by at least a line, as little as possible. */
  function spread(heights, top, bottom) {
    const sorted = heights.map((at, i) => ({ at, i })).sort((a, b) => a.at - b.at), blocks = [];
    const clamp = (at, count) => Math.max(top, Math.min(at, bottom - LINE * (count - 1)));
    for (const { at } of sorted) {
      let block = { at: clamp(at, 1), count: 1 };
      while (blocks.length && blocks.at(-1).at + LINE * blocks.at(-1).count > block.at) {
        const above = blocks.pop(), count = above.count + block.count;
        const mean = (above.at * above.count + (block.at - LINE * above.count) * block.count) / count;
        block = { at: clamp(mean, count), count };
      }
      blocks.push(block);
    }
    const places = [], flat = blocks.flatMap(({ at, count }) => Array.from({ length: count }, (_, i) => at + LINE * i));
    sorted.forEach(({ i }, n) => (places[i] = flat[n]));
    return places;
  }

  function arrange() {
    for (const plot of document.querySelectorAll("svg.plot")) {
      const names = [...plot.querySelectorAll("text[data-y]")].filter(name => getComputedStyle(name.parentNode).display !== "none");
      const lines = [...plot.querySelectorAll("line.grid")].map(line => Number(line.getAttribute("y1")));
      const places = spread(names.map(name => Number(name.dataset.y)), Math.min(...lines), Math.max(...lines));
      names.forEach((name, i) => {
        name.setAttribute("y", places[i] + 4);
        const lead = name.previousElementSibling;
        lead.setAttribute("d", lead.getAttribute("d").replace(/[\d.]+$/, places[i].toFixed(1)));
      });
    }
  }

  const legend = document.querySelector(".legend");
  if (!legend) return;
  const boxes = [...legend.querySelectorAll("input")], usual = boxes.filter(box => box.defaultChecked).length;
  const choices = usual < boxes.length ? [[`the first ${usual}`, usual], ["all", boxes.length]] : [["all", boxes.length]];
  for (const [text, count] of [...choices, ["none", 0]]) {
    const button = document.createElement("button");
    button.textContent = text;
    button.addEventListener("click", () => {
      boxes.forEach((box, i) => (box.checked = i < count));
      arrange();
    });
    legend.append(button);
  }
  legend.addEventListener("change", arrange);
  // A browser that goes back to a page restores its check boxes.
  addEventListener("pageshow", arrange);
  arrange();
})();
