function plotOf(columns, width) {
  const [first] = columns;
  const dates = datesOf(first.cells);
  const isScale = first.numbers?.every(Number.isFinite) && columns.filter(({numbers}) => numbers).length > 1;
  const x = dates ?? (isScale ? first.numbers : null);
  const steps = x || first.cells.map((_, i) => i + 1);
  const choices = columns.filter(column => column.numbers && (column !== first || !x));
  // Rows that share an x are of several series; a column of few different texts names them.
  const groups = new Set(steps).size < steps.length && columns.find(column =>
    column !== first && !column.numbers && new Set(column.cells).size <= MOST_SERIES);
  const holder = element("div");
  const menu = element("select", {ariaLabel: "Column to plot"}, ...choices.map(({name}) => element("option", {textContent: name})));
  const redraw = () => holder.replaceChildren(...curves(steps, choices[menu.selectedIndex], groups?.cells, {isDated: Boolean(dates), width}));
  menu.addEventListener("change", redraw);
  redraw();
  return element("div", {className: "plot"}, menu, holder);
}

function ticks(low, high) {
  const rough = (high - low) / 4 || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find(factor => factor * power >= rough);
  const first = Math.ceil(low / step), count = Math.floor(high / step + 1e-9) - first + 1;
  // Bounded, since among numbers beyond 2 ** 53 there are steps that lead nowhere.
  return Array.from({length: Math.min(count, 6)}, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function curves(steps, {name, numbers}, names, {isDated, width}) {
  const [left, right, top, bottom] = [52, 12, 10, 24], height = 210;
  const [x0, x1] = extent(steps), [y0, y1] = extent(numbers);
  const place = (value, low, high, from, to) => from + (high > low ? (value - low) / (high - low) : 0.5) * (to - from);
  const xOf = value => place(value, x0, x1, left, width - right).toFixed(1);
  const yOf = value => place(value, y0, y1, height - bottom, top).toFixed(1);
  const series = new Map();
  steps.forEach((step, i) => {
    const group = names ? names[i] : name;
    if (!series.has(group)) series.set(group, {path: "", isDown: false});
    const curve = series.get(group);
    if (!Number.isNaN(numbers[i])) curve.path += `${curve.isDown ? "L" : "M"}${xOf(step)} ${yOf(numbers[i])}`;
    curve.isDown = !Number.isNaN(numbers[i]);  // a gap in the data is one in the line
  });
  const colors = [...series.keys()].map((_, i) => `var(--series-${i % MOST_SERIES})`);
  const paths = [...series.values()].map(({path}, i) => {
    const drawn = drawing("path", {d: path, class: "curve"});
    drawn.style.stroke = colors[i];
    return drawn;
  });
  const label = (x, y, anchor, text) => drawing("text", {x, y, "text-anchor": anchor}, text);
  const scale = ticks(y0, y1).flatMap(value => [
    drawing("path", {d: `M${left} ${yOf(value)}H${width - right}`, class: "grid"}),
    label(left - 6, Number(yOf(value)) + 4, "end", value.toLocaleString("en", {maximumSignificantDigits: 6}))]);
  const xText = value => isDated ? new Date(value).toISOString().slice(0, 10) : value.toLocaleString("en");
  const ends = [label(left, height - 7, "start", xText(x0)), label(width - right, height - 7, "end", xText(x1))];
  const picture = drawing("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Plot of ${name}`}, ...scale, ...ends, ...paths);
  if (!names) return [picture];
  const legend = [...series.keys()].map((group, i) => {
    const line = element("i");
    line.style.background = colors[i];
    return element("span", {}, line, group);
  });
  return [picture, element("div", {className: "legend"}, ...legend)];
}
