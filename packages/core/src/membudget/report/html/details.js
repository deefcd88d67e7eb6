// All that is known of a test: its figures and limits, what there is to say, and its stacks.

const HEADS = ["Figure", "Used", "Limit", "", "Suggested"];

function detailOf(test) {
  const box = element("div", { class: "box" });
  const rows = element("tbody");
  const limited = Object.fromEntries(test.limits.map((limit) => [limit.kind, limit]));
  const kinds = [...FIGURES, ...Object.keys(limited).filter((kind) => !FIGURES.includes(kind))];
  for (const kind of kinds) rows.append(figureRow(kind, test, limited[kind]));
  const head = element("tr", {}, ...HEADS.map((text) => element("th", { scope: "col" }, text)));
  const table = element("table", { class: "limits" }, element("thead", {}, head), rows);
  const facts = element("div", { class: "about" }, element("div", { class: "scroll" }, table));
  box.append(facts);
  const notes = [...test.notes];
  for (const limit of test.limits) {
    if (limit.origin && !limit.words.includes("OVER")) notes.push(`The limit on ${limit.kind} is written in ${limit.origin}`);
  }
  if (test.place) notes.push(`The test is in ${test.place}`);
  if (test.change && test.was !== null) notes.push(`Its peak was ${size(test.was)} in the baseline`);
  facts.append(element("ul", { class: "notes" }, ...notes.map((note) => element("li", {}, note))));
  if (test.objects.length) {
    box.append(element("h4", {}, "Objects left behind"), element("pre", {}, test.objects.join("\n")));
  }
  if (DATA.curves[test.index]) box.append(element("h4", {}, "Memory over time"), curve(test, ...DATA.curves[test.index]));
  for (const tree of test.trees) {
    box.append(element("h4", {}, DATA.texts[tree[0]]), icicle(tree, DATA.texts));
  }
  if (test.capture) {
    box.append(element("h4", {}, "Its capture"), element("pre", {}, test.capture));
  }
  return box;
}

function figureRow(kind, test, limit) {
  const used = limit ? limit.used : test[kind];
  const cells = [element("th", { scope: "row" }, kind), element("td", {}, shown(kind, used))];
  if (limit) {
    const words = limit.words.split(" ").filter(Boolean);
    const marks = words.map((word) => element("b", { class: `word ${word.toLowerCase()}` }, word));
    cells.push(element("td", {}, shown(kind, limit.maximum)), element("td", {}, ...marks));
    cells.push(element("td", {}, limit.suggested));
  } else cells.push(...["–", "", ""].map((text) => element("td", {}, text)));
  return element("tr", {}, ...cells);
}
