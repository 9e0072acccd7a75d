"use strict";

// A number as it is shown, whatever stands around it; NaN for a dash, null for a word.
function shownNumber(text) {
  const word = text.trim().replaceAll(",", "");
  if (word === "–" || word === "") return NaN;
  if (/^[-+]?∞/.test(word)) return word.startsWith("-") ? -Infinity : Infinity;
  const found = /^[<≤$+\s]*(-?\d*\.?\d+(?:e[+-]?\d+)?)/i.exec(word);
  return found ? Number(found[1]) : null;
}

// What a cell is sorted by: its text without the interval below it.
function sortText(cell) {
  return [...cell.childNodes].filter((node) => node.nodeName !== "SMALL").map((node) => node.textContent).join("");
}

function sortRows(table, column, descending) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, text: sortText(row.cells[column]) }));
  const numbers = rows.map(({ text }) => shownNumber(text));
  const numeric = numbers.every((number) => number !== null) && numbers.some((number) => !Number.isNaN(number));
  rows.forEach((own, at) => (own.key = numbers[at]));
  const compare = (a, b) => {
    if (!numeric) return (descending ? -1 : 1) * a.text.localeCompare(b.text, undefined, { numeric: true });
    if (Number.isNaN(a.key) || Number.isNaN(b.key)) return Number.isNaN(a.key) - Number.isNaN(b.key);
    return a.key === b.key ? 0 : (descending ? b.key > a.key : a.key > b.key) ? 1 : -1;
  };
  body.append(...rows.sort(compare).map(({ row }) => row));
}

function makeSortable(table) {
  const heads = table.tHead ? [...table.tHead.rows[0].cells] : [];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "sort by this column";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortRows(table, column, descending);
    });
  });
}

function labelled(text, input, after) {
  const label = document.createElement("label");
  label.append(...(after ? [input, " " + text] : [text + " ", input]));
  return label;
}

function makeTools(holder) {
  const table = holder.querySelector("table");
  const tools = document.createElement("div");
  tools.className = "tools";
  if (table.querySelector("td small")) {
    const shown = document.createElement("input");
    shown.type = "checkbox";
    shown.checked = !("wide" in holder.dataset);
    const show = () => table.classList.toggle("brief", !shown.checked);
    shown.addEventListener("change", show);
    show();
    tools.append(labelled("95 % intervals", shown, true));
  }
  if ("filter" in holder.dataset) {
    const field = document.createElement("input");
    const count = document.createElement("span");
    field.type = "search";
    count.setAttribute("role", "status");
    field.addEventListener("input", () => {
      const wanted = field.value.trim().toLowerCase();
      const rows = [...table.tBodies[0].rows];
      rows.forEach((row) => (row.hidden = !row.textContent.toLowerCase().includes(wanted)));
      count.textContent = wanted ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows` : "";
    });
    tools.append(labelled("Filter rows", field, false), count);
  }
  if (tools.childElementCount) holder.prepend(tools);
  makeSortable(table);
}

function unfold(node) {
  for (let own = node; own; own = own.parentElement) if (own.nodeName === "DETAILS") own.open = true;
}

function goToHash() {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (!target) return;
  unfold(target);
  target.scrollIntoView();
}

function followScroll() {
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        links.forEach((link) => link.removeAttribute("aria-current"));
        links.get(target.id).setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-10% 0px -80% 0px" },
  );
  links.forEach((_, id) => seen.observe(document.getElementById(id)));
}

document.querySelectorAll(".table").forEach(makeTools);
// A cell whose interval is hidden tells it to whoever points at it.
document.addEventListener("mouseover", ({ target }) => {
  const cell = target.closest?.(".brief td");
  if (cell && !cell.title) cell.title = [...cell.querySelectorAll("small")].map((small) => small.textContent).join("; ");
});
document.querySelectorAll("nav a").forEach((link) =>
  link.addEventListener("click", () => unfold(document.getElementById(link.hash.slice(1)))),
);
window.addEventListener("hashchange", goToHash);
let folded = [];
window.addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach((own) => (own.open = true));
});
window.addEventListener("afterprint", () => folded.forEach((own) => (own.open = false)));
followScroll();
goToHash();
