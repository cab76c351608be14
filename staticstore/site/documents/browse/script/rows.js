// ---- the table, of which only the rows that are seen exist ----

function makeColumns() {
  const present = new Set(["key", ...COLUMNS.map(({field}) => field).filter(field =>
    state.entries.some(({metadata}) => Object.hasOwn(metadata, field)))]);
  const columns = COLUMNS.filter(({field}) => present.has(field));
  if (String(columns.map(({field}) => field)) === String(state.columns.map(({field}) => field))) return;
  state.columns = columns;
  page.list.style.setProperty("--columns", state.columns.map(({width}) => width).join(" "));
  page.columns.replaceChildren(...state.columns.map(({field, label}) => {
    const button = element("button", {type: "button", textContent: label});
    button.addEventListener("click", () => {
      settle();
      state.sort = {field, falling: state.sort.field === field && !state.sort.falling};
      page.view.scrollTop = 0;
      sort();
      writeAddress(true);
    });
    const cell = element("div", {className: field, role: "columnheader"}, button);
    cell.dataset.field = field;
    return cell;
  }));
  page.columns.ariaRowIndex = 1;
}

function measures() {
  const tall = state.rows.length * state.rowHeight;
  // Whatever the layout is, no more is seen than the window shows.
  const seen = Math.min(page.view.clientHeight, innerHeight) - page.columns.offsetHeight;
  // A table taller than browsers can draw is scrolled in larger steps.
  const scale = tall > TALLEST ? (tall - seen) / (TALLEST - seen) : 1;
  return {tall: Math.min(tall, TALLEST), seen, scale};
}

function draw() {
  const {tall, seen, scale} = measures();
  page.space.style.height = `${tall}px`;
  const offset = page.view.scrollTop * scale;
  const first = Math.max(0, Math.floor(offset / state.rowHeight) - OVERSCAN);
  const end = Math.ceil((offset + seen) / state.rowHeight) + OVERSCAN;
  page.rows.style.top = `${page.view.scrollTop - (offset - first * state.rowHeight)}px`;
  page.rows.replaceChildren(...state.rows.slice(first, end).map((row, i) => drawRow(row, first + i)));
  page.view.ariaRowCount = state.rows.length + 1;
  page.view.ariaColCount = state.columns.length;
  const current = page.rows.querySelector(".current");
  if (current) page.view.setAttribute("aria-activedescendant", current.id);
  else page.view.removeAttribute("aria-activedescendant");
}

function drawRow(row, position) {
  const cells = state.columns.map(({field, text}) => {
    const shown = row.isFolder ? folderText(row, field) : field === "key" && state.isTree ? row.name : text(row);
    return element("span", {className: field, role: "gridcell", textContent: shown, title: field === "key" ? row.key : shown});
  });
  const drawn = element("div", {className: "row", role: "row", id: `row-${position}`, ariaRowIndex: position + 2}, ...cells);
  drawn.ariaSelected = row.key === state.selected;
  drawn.classList.toggle("current", row.key === state.cursor);
  drawn.classList.toggle("fresh", state.fresh.has(row.key));
  if (state.isTree) {
    Object.assign(drawn, {ariaLevel: row.level, ariaPosInSet: row.position, ariaSetSize: row.siblings});
    drawn.style.setProperty("--level", row.level - 1);
  }
  if (row.isFolder) {
    drawn.classList.add("folder");
    drawn.ariaExpanded = isOpen(row.key);
    cells[0].append(element("small", {textContent: ` ${row.count.toLocaleString("en")}`, ariaLabel: countText(row.count, "value", "values")}));
  }
  return drawn;
}

function folderText({name, bytes}, field) { return field === "key" ? name : field === "size" ? sizeText(bytes) : ""; }

function measure() {            // rows are taller where there is little room
  const height = page.rows.firstElementChild?.getBoundingClientRect().height;
  const isOther = height && height !== state.rowHeight;
  if (isOther) state.rowHeight = height;
  draw();
  const position = isOther ? positionOf(state.cursor) : -1;
  if (position >= 0) show(position);
}

function show(position) {       // scroll no further than it takes
  const {seen, scale} = measures();
  const top = position * state.rowHeight, offset = page.view.scrollTop * scale;
  if (top < offset) page.view.scrollTop = top / scale;
  else if (top + state.rowHeight > offset + seen) page.view.scrollTop = (top + state.rowHeight - seen) / scale;
}

function positionOf(key) { return key === null ? -1 : state.rows.findIndex(row => row.key === key); }

function move(steps) {
  const last = state.rows.length - 1, now = positionOf(state.cursor);
  if (last < 0) return;
  goTo(Math.max(0, Math.min(last, now < 0 ? (steps === Infinity ? last : 0) : now + steps)));
}

function goTo(position) {       // a value is shown beside the list, where there is room
  const row = state.rows[position];
  state.cursor = row.key;
  show(position);
  if (row.isFolder || narrow.matches) draw();
  else select(row);
}
