// Draws how much memory a test had over time, and its limit on the peak.

const HEIGHT = 96;

function seconds(ms) {
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(ms < 10000 ? 2 : 0)} s`;
}

// `digits` are those of PageData: two for each stretch of time, and 255 for the peak.
function curve(test, bucket, digits) {
  const parts = digits.match(/../g).map((two) => parseInt(two, 16) / 255);
  const limit = test.limits.find((one) => one.kind === "peak");
  const top = Math.max(test.peak, limit ? limit.maximum : 1);
  const y = (bytes) => HEIGHT * (1 - bytes / top);
  const steps = parts.map((part, i) => `V${y(part * test.peak).toFixed(1)}H${i + 1}`);
  const end = seconds(bucket * parts.length);
  const said = `largest ${size(test.peak)} after ${seconds(bucket * parts.indexOf(Math.max(...parts)))} of ${end}`;
  const named = `Memory over time: ${said}${limit ? `, limit ${size(limit.maximum)}` : ""}`;
  const svg = drawn(
    "svg",
    { role: "img", "aria-label": named, height: HEIGHT, viewBox: `0 0 ${parts.length} ${HEIGHT}`, preserveAspectRatio: "none" },
    drawn("path", { class: "memory", d: `M0 ${HEIGHT}${steps.join("")}V${HEIGHT}Z` }),
  );
  const legend = element("p", { class: "legend" }, element("span", { class: "key memory" }), "memory");
  if (limit) {
    svg.append(drawn("path", { class: "ceiling", d: `M0 ${y(limit.maximum).toFixed(1)}H${parts.length}` }));
    legend.append(element("span", { class: "key ceiling" }), `limit ${size(limit.maximum)}`);
  }
  legend.append(element("span", { class: "hint" }, said));
  const scale = element("p", { class: "scale" }, element("span", {}, size(top)), element("span", {}, "0"));
  const times = element("p", { class: "times" }, element("span", {}, "0"), element("span", {}, end));
  return element("figure", { class: "curve" }, legend, scale, svg, times);
}
