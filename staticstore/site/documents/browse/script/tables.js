// ---- tables and plots ----

function parseTable(text, isWhole) {
  const line = text.slice(0, text.search(/[\r\n]|$/));
  const separator = [",", ";", "\t"].reduce((best, one) => line.split(one).length > line.split(best).length ? one : best);
  const rows = [];
  let row = [], cell = "", isQuoted = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (isQuoted && character === '"' && text[i + 1] === '"') { cell += '"'; i++; }
    else if (character === '"' && (isQuoted || !cell)) isQuoted = !isQuoted;
    else if (isQuoted) cell += character;
    else if (character === separator) { row.push(cell); cell = ""; }
    else if (character === "\n") { rows.push([...row, cell.replace(/\r$/, "")]); row = []; cell = ""; }
    else cell += character;
  }
  if (isWhole && (cell || row.length)) rows.push([...row, cell]);
  return rows.filter(cells => cells.length > 1 || cells[0]);
}

function numbersOf(cells) {     // null if one of them is no number
  if (!cells.some(cell => cell.trim())) return null;
  const numbers = cells.map(cell => cell.trim() ? Number(cell) : NaN);
  return numbers.every((number, i) => Number.isFinite(number) || !cells[i].trim()) ? numbers : null;
}

function datesOf(cells) {
  return cells.every(cell => /^\d{4}-\d\d(-\d\d|$)/.test(cell) && !isNaN(Date.parse(cell))) ? cells.map(Date.parse) : null;
}

function tableOf(bytes, {isWhole, width}) {
  const [all, ...rows] = parseTable(readText(bytes, isWhole), isWhole);
  if (!all) return [note("It is empty.")];
  const head = all.slice(0, MOST_COLUMNS);
  const columns = head.map((name, i) => {
    const cells = rows.map(cells => cells[i] ?? "");
    return {name, cells, numbers: numbersOf(cells)};
  });
  const cellOf = (name, text, i) => element(name, {textContent: text, className: columns[i]?.numbers ? "number" : ""});
  const body = rows.slice(0, MOST_ROWS).map(cells => element("tr", {}, ...cells.slice(0, MOST_COLUMNS).map((cell, i) => cellOf("td", cell, i))));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...head.map((name, i) => cellOf("th", name, i)))), element("tbody", {}, ...body));
  const shown = body.length < rows.length || !isWhole ? `, the first ${body.length} of them here` : "";
  const wide = head.length < all.length ? `, ${countText(all.length, "column", "columns")}, the first ${head.length} of them here` : "";
  const count = note(`${countText(rows.length, "row", "rows")}${isWhole ? "" : " read"}${shown}${wide}`);
  const drawn = [element("div", {className: "table", tabIndex: 0}, table), count];
  return rows.length > 1 && columns.some(({numbers}) => numbers) ? [plotOf(columns, width), ...drawn] : drawn;
}
