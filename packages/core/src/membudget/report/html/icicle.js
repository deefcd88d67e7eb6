// Draws stacks as an icicle graph: each call below its caller, as wide as the memory that it had.

const ROW = 21;
const CHARACTER = 6.65; // how wide one is, in the font of the labels

// Turns the data of a tree into a list of nodes, callers first, each with its place from 0 to 1.
function nodesOf(data, texts, nodes = [], parent = null, start = 0, all = data[4]) {
  const [label, file, lineNumber, own, bytes, count, children, old, now = bytes] = data;
  const node = {
    label: texts[label], place: placed(texts[file], lineNumber), own, bytes, count, old, now, parent, start,
    part: all ? bytes / all : 1, depth: parent ? parent.depth + 1 : 0, children: [],
  };
  nodes.push(node);
  let from = start;
  for (const child of children) {
    const below = nodesOf(child, texts, nodes, node, from, all);
    node.children.push(below);
    from += below.part;
  }
  return parent ? node : nodes;
}

function change(node) {
  return node.old === undefined ? 0 : node.now - node.old;
}

// What is to be said of a node, in a line.
function words(node, root) {
  const parts = [`${node.label}${node.place ? ` (${node.place})` : ""}: ${size(node.bytes)}`];
  if (node !== root && root.bytes) parts.push(`${((100 * node.bytes) / root.bytes).toFixed(1)}%`);
  parts.push(`${count(node.count)} allocation${node.count === 1 ? "" : "s"}`);
  if (node.old === 0) parts.push("new since the baseline");
  else if (change(node)) {
    const grew = change(node) > 0 ? "grew" : "shrank";
    parts.push(`the function ${grew} from ${size(node.old)} to ${size(node.now)}`);
  }
  return parts.join(", ");
}

function icicle(data, texts) {
  const nodes = nodesOf(data, texts);
  const root = nodes[0];
  const isCompared = root.old !== undefined;
  const least = Math.max(root.bytes, root.old || 0) / 100;
  const svg = drawn("svg", { role: "tree", "aria-label": `${root.label}, by call` });
  const line = element("p", { class: "readout" });
  const legend = element("p", { class: "legend" });
  const figure = element("figure", { class: "icicle" }, legend, svg, line);
  for (const [name, text] of isCompared
    ? [["grew", "grew since the baseline"], ["shrank", "shrank"], ["same", "the same"]]
    : [["own", "own code"], ["library", "libraries"]]) {
    legend.append(element("span", { class: `key ${name}` }), text);
  }
  legend.append(element("span", { class: "hint" }, "Select a call to enlarge it"));
  let top = root; // what is as wide as the figure
  let current = root;
  let width = 0;

  function kind(node) {
    if (!isCompared) return node.own ? "own" : "library";
    if (Math.abs(change(node)) < least) return "same";
    return change(node) > 0 ? "grew" : "shrank";
  }

  // The label of a node, cut to the characters for which there is room.
  function label(node, room) {
    const bytes = size(node.bytes);
    const full = [node.label, node.place].filter(Boolean).join("  ");
    if (full.length + bytes.length + 2 <= room) return [full, bytes];
    if (node.label.length + bytes.length + 2 <= room) return [node.label, bytes];
    if (node.label.length <= room) return [node.label, ""];
    return [room > 3 ? `${node.label.slice(0, room - 1)}…` : "", ""];
  }

  function box(node, x, w) {
    const isAbove = node.depth < top.depth;
    const item = drawn("g", {
      role: "treeitem", class: `${kind(node)}${isAbove ? " above" : ""}`,
      "aria-level": node.depth + 1, "aria-label": words(node, root),
      tabindex: node === current ? 0 : -1, transform: `translate(${x} ${node.depth * ROW})`,
    });
    if (isCompared) item.style.setProperty("--much", `${Math.round(10 + 50 * Math.abs(change(node)) / Math.max(node.old, node.now, 1))}%`);
    const [left, right] = label(node, Math.floor((w - 8) / CHARACTER));
    item.append(drawn("rect", { width: Math.max(w - 1, 0.5), height: ROW - 1, rx: 2 }));
    if (left) item.append(drawn("text", { x: 5, y: 14 }, left));
    if (right) item.append(drawn("text", { x: w - 6, y: 14, "text-anchor": "end" }, right));
    item.addEventListener("click", () => zoom(node));
    item.addEventListener("mouseenter", () => (line.textContent = words(node, root)));
    item.addEventListener("focus", () => go(node, false));
    node.item = item;
    return item;
  }

  function draw() {
    width = svg.clientWidth;
    const inside = document.activeElement && svg.contains(document.activeElement);
    svg.replaceChildren();
    let deepest = 0;
    for (const node of nodes) {
      node.item = null;
      const isAbove = node.depth < top.depth && node.start <= top.start && node.start + node.part >= top.start + top.part - 1e-9 && ancestors(top).includes(node);
      const x = isAbove ? 0 : ((node.start - top.start) / top.part) * width;
      const w = isAbove ? width : (node.part / top.part) * width;
      if (!isAbove && (node.depth < top.depth || x < -0.01 || x + w > width + 0.5 || !within(node))) continue;
      deepest = Math.max(deepest, node.depth);
      svg.append(box(node, x, w));
    }
    svg.setAttribute("height", (deepest + 1) * ROW);
    line.textContent = words(current, root);
    if (inside && current.item) current.item.focus({ preventScroll: true });
  }

  function ancestors(node) {
    return node.parent ? [node.parent, ...ancestors(node.parent)] : [];
  }

  function within(node) {
    return node === top || ancestors(node).includes(top);
  }

  function go(node, focuses = true) {
    if (current.item) current.item.setAttribute("tabindex", -1);
    current = node;
    line.textContent = words(node, root);
    if (!node.item) return;
    node.item.setAttribute("tabindex", 0);
    if (focuses) node.item.focus();
  }

  function zoom(node) {
    top = node;
    current = node;
    draw();
  }

  svg.addEventListener("keydown", (event) => {
    const siblings = current.parent ? current.parent.children : [root];
    const at = siblings.indexOf(current);
    const to = {
      ArrowDown: current.children[0], ArrowUp: current.parent, Home: root,
      ArrowRight: siblings[at + 1], ArrowLeft: siblings[at - 1],
    }[event.key];
    if (to && to.item) go(to);
    else if (event.key === "Enter" || event.key === " ") zoom(current);
    else if (event.key === "Escape") zoom(root);
    else if (!event.key.startsWith("Arrow")) return;
    event.preventDefault();
  });
  svg.addEventListener("mouseleave", () => (line.textContent = words(current, root)));
  new ResizeObserver(() => svg.clientWidth !== width && draw()).observe(figure);
  return figure;
}
