// The tests, from the data of the page: an object for each, with texts in place of their numbers.

const DATA = JSON.parse(document.getElementById("data").textContent);
const FIGURES = ["peak", "total", "allocations", "retained"];

const tests = DATA.tests.map((values, index) => {
  const test = Object.fromEntries(DATA.columns.map((column, i) => [column, values[i]]));
  const texts = (numbers) => numbers.map((number) => DATA.texts[number]);
  test.index = index;
  test.place = placed(DATA.texts[test.place[0]], test.place[1]);
  for (const name of ["group", "outcome", "capture"]) test[name] = DATA.texts[test[name]];
  test.notes = texts(test.notes);
  test.objects = texts(test.objects);
  [test.peak, test.total, test.allocations, test.retained] = test.figures;
  test.limits = test.limits.map(([number, more, maximum, words, suggested, file, line]) => {
    const kind = DATA.texts[number];
    const used = FIGURES.includes(kind) ? test[kind] : more;
    return {
      kind, used, maximum, share: maximum ? used / maximum : used * 1e9, words: DATA.texts[words],
      suggested: DATA.texts[suggested], origin: placed(DATA.texts[file], line),
    };
  });
  test.share = test.limits.length ? test.limits[0].share : -1;
  if (test.change) [test.was, test.changed] = [test.change[0], DATA.texts[test.change[1]]];
  test.grown = test.change && test.was !== null ? test.peak - test.was : -Infinity;
  test.full = test.group + test.name;
  test.found = test.full.toLowerCase();
  return test;
});
const isCompared = tests.some((test) => test.change);
