// Makes elements of the page, and the texts of figures and places in it.

const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];

// A size as Python's format_size writes it, which rounds half to even.
function size(bytes) {
  let value = bytes;
  let unit = "B";
  for (const larger of UNITS) {
    if (Math.abs(value) < 1023.95) break;
    value /= 1024;
    unit = larger;
  }
  const tenths = Math.abs(value) * 10;
  let rounded = Math.round(tenths);
  if (tenths % 1 === 0.5 && rounded % 2) rounded -= 1;
  return (value < 0 ? "-" : "") + (rounded / 10).toFixed(1) + unit;
}

function count(n) {
  return n.toLocaleString("en");
}

// A figure of that kind.
function shown(kind, n) {
  return kind === "allocations" || kind === "leaked objects" ? count(n) : size(n);
}

function placed(file, line) {
  return line ? `${file}:${line}` : file;
}

function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
