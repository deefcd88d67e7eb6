// The table of tests: sorts it, searches in it, and opens a test to show all that is known of it.

const AT_ONCE = 200; // more rows than one reads; the others are made when they are asked for

function percent(limit) {
  if (!limit.maximum) return "";
  const exact = 100 * limit.share;
  if (exact !== 100 && Math.round(exact) === 100) return exact > 100 ? "just over" : "just under";
  return `${count(Math.round(exact))}%`;
}

function bar(limit, state) {
  const end = Math.max(limit.used, limit.maximum, 1);
  const part = (n) => `${(100 * n) / end}%`;
  const picture = drawn("svg", { class: `bar ${state}`, width: "100%", height: 8, "aria-hidden": "true" });
  picture.append(drawn("rect", { class: "track", width: part(limit.maximum), height: 8, rx: 1 }));
  picture.append(drawn("rect", { class: "used", width: part(Math.min(limit.used, limit.maximum)), height: 8, rx: 1 }));
  if (limit.used > limit.maximum) {
    const x = part(limit.maximum);
    picture.append(drawn("rect", { class: "excess", x, width: part(limit.used - limit.maximum), height: 8, rx: 1 }));
    picture.append(drawn("rect", { class: "limit", x, width: 2, height: 8 }));
  }
  return picture;
}

function useOf(test) {
  if (!test.limits.length) return [element("span", { class: "quiet" }, "no limit")];
  const limit = test.limits[0];
  const kind = limit.kind === "peak" ? "" : ` ${limit.kind}`;
  const text = [percent(limit), limit.maximum ? "of" : "limit", shown(limit.kind, limit.maximum) + kind];
  const words = [...new Set(test.limits.flatMap((one) => one.words.split(" ")))].filter(Boolean);
  const line = element("div", { class: "use-text" }, text.filter(Boolean).join(" "));
  for (const word of words) line.append(" ", element("b", { class: `word ${word.toLowerCase()}` }, word));
  return [bar(limit, test.state), line];
}

function changeOf(test) {
  if (test.was === null) return element("span", { class: "change new" }, "new");
  const difference = test.peak - test.was;
  const text = difference ? `${difference > 0 ? "+" : "−"}${size(Math.abs(difference))}` : "same";
  return element("span", { class: `change ${test.changed}` }, text);
}

const COLUMNS = [
  { key: "full", title: "Test", isText: true },
  { key: "peak", title: "Peak", cell: (test) => size(test.peak) },
  { key: "share", title: "Limit used", class: "use" },
  ...(isCompared ? [{ key: "grown", title: "Baseline", class: "baseline", cell: changeOf }] : []),
  { key: "retained", title: "Left behind", class: "middle", cell: (test) => size(test.retained) },
  { key: "allocations", title: "Allocations", class: "wide", cell: (test) => count(test.allocations) },
  { key: "total", title: "Total", class: "wide", cell: (test) => size(test.total) },
];
const table = document.getElementById("tests");
const body = table.tBodies[0];
const search = document.getElementById("search");
const clear = document.getElementById("clear");
const allRows = document.getElementById("all-rows");
const filters = [...document.querySelectorAll(".filter")];
const FILTERS = {
  grew: (test) => test.changed === "grew",
  left: (test) => test.retained >= 1 << 20,
};
let sorted = { key: "share", isDown: true };
let filter = "";
let most = AT_ONCE;

function classOf(column) {
  if (column.isText) return "test";
  return column.class === "use" ? "use" : `number ${column.class || ""}`;
}

// How many columns can be seen: narrow windows have fewer.
function seenColumns() {
  return COLUMNS.filter((column) => column.head.offsetWidth).length;
}

function makeHead() {
  const row = table.tHead.rows[0];
  for (const column of COLUMNS) {
    const button = element("button", { type: "button" }, column.title);
    button.addEventListener("click", () => {
      const isDown = sorted.key === column.key ? !sorted.isDown : !column.isText;
      sorted = { key: column.key, isDown };
      show();
    });
    column.head = element("th", { scope: "col", class: classOf(column) }, button);
    row.append(column.head);
  }
}

// A long name, which can be broken after each underscore.
function breakable(name) {
  if (name.length < 30) return [name];
  return name.match(/[^_]*_*/g).flatMap((part) => [part, element("wbr")]);
}

function rowOf(test) {
  const name = element("bdi", {}, ...breakable(test.name), " ", element("span", { class: "group" }, test.group.replace(/(::|\.)$/, "")));
  const button = element("button", { type: "button", "aria-expanded": "false" }, name);
  button.addEventListener("click", () => (test.detail ? fold(test) : unfold(test)));
  const head = element("th", { scope: "row", class: "test" }, button);
  if (["failed", "error", "skipped"].includes(test.outcome) && test.state !== "over") {
    head.append(" ", element("b", { class: "word outcome" }, test.outcome));
  }
  const row = element("tr", { id: `test-${test.index}`, class: test.state }, head);
  for (const column of COLUMNS.slice(1)) {
    const cell = element("td", { class: classOf(column) });
    cell.append(...(column.cell ? [column.cell(test)] : useOf(test)));
    row.append(cell);
  }
  test.button = button;
  return row;
}

function unfold(test) {
  test.row ||= rowOf(test);
  test.detail = element("tr", { class: "detail" }, element("td", { colspan: seenColumns() }, detailOf(test)));
  test.row.after(test.detail);
  test.button.setAttribute("aria-expanded", "true");
}

function fold(test) {
  test.detail.remove();
  test.detail = null;
  test.button.setAttribute("aria-expanded", "false");
}

function chosen() {
  const parts = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = FILTERS[filter] || ((test) => !filter || test.state === filter);
  const found = tests.filter((test) => fits(test) && parts.every((part) => test.found.includes(part)));
  const sign = sorted.isDown ? -1 : 1;
  const key = sorted.key;
  return found.sort((a, b) => (a[key] === b[key] ? a.index - b.index : sign * (a[key] < b[key] ? -1 : 1)));
}

function show() {
  const found = chosen();
  const visible = found.slice(0, most);
  body.replaceChildren();
  for (const test of visible) {
    test.row ||= rowOf(test);
    body.append(test.row);
    if (test.detail) body.append(test.detail);
  }
  for (const column of COLUMNS) {
    const direction = sorted.isDown ? "descending" : "ascending";
    column.head.setAttribute("aria-sort", sorted.key === column.key ? direction : "none");
  }
  for (const button of filters) button.setAttribute("aria-pressed", String(button.dataset.filter === filter));
  const status = document.getElementById("count");
  const of = found.length === tests.length ? "" : ` of ${count(tests.length)}`;
  status.textContent = `${count(found.length)}${of} ${tests.length === 1 ? "test" : "tests"}`;
  if (FILTERS[filter]) status.textContent += filter === "grew" ? " that grew" : " that left 1 MiB or more behind";
  clear.hidden = !filter && !search.value;
  allRows.hidden = found.length <= most;
  allRows.textContent = `Show all ${count(found.length)} tests`;
}

// Shows the tests in a state, or of a work, whose names have the searched parts.
function choose(state, searched = search.value) {
  filter = state;
  search.value = searched;
  show();
}

// Opens the test that the address names, so that a link to a test can be followed and shared.
function follow() {
  const test = tests[Number((/^#test-(\d+)$/.exec(location.hash) || [])[1])];
  if (!test) return;
  if (!chosen().slice(0, most).includes(test)) {
    choose("", "");
    if (!chosen().slice(0, most).includes(test)) most = tests.length;
    show();
  }
  if (!test.detail) unfold(test);
  test.row.scrollIntoView({ block: "start" });
  test.button.focus({ preventScroll: true });
}

makeHead();
for (const button of filters) {
  const state = button.dataset.filter;
  button.addEventListener("click", () => choose(filter === state ? "" : state));
}
for (const button of document.querySelectorAll(".work .more")) {
  button.addEventListener("click", () => {
    choose(button.dataset.filter, "");
    document.getElementById("all").scrollIntoView();
    body.querySelector("button").focus({ preventScroll: true });
  });
}
search.addEventListener("input", show);
clear.addEventListener("click", () => {
  choose("", "");
  search.focus();
});
allRows.addEventListener("click", () => {
  most = tests.length;
  show();
});
addEventListener("hashchange", follow);
addEventListener("resize", () => {
  for (const cell of body.querySelectorAll(".detail > td")) cell.colSpan = seenColumns();
});
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#test-"]');
  if (link && link.hash === location.hash) follow(); // no hashchange comes
});
show();
if (tests.length && tests[0].state === "over") unfold(tests[0]);
follow();
