// ---- the table, of which only the rows that are seen exist ----

function makeColumns() {
  const present = new Set(["key", ...COLUMNS.map(({field}) => field).filter(field =>
    state.entries.some(({metadata}) => Object.hasOwn(metadata, field)))]);
  state.columns = COLUMNS.filter(({field}) => present.has(field));
  page.list.style.setProperty("--columns", state.columns.map(({width}) => width).join(" "));
  page.columns.replaceChildren(...state.columns.map(({field, label}) => {
    const button = element("button", {type: "button", textContent: label});
    button.addEventListener("click", () => {
      state.sort = {field, falling: state.sort.field === field && !state.sort.falling};
      page.view.scrollTop = 0;
      sort();
    });
    const cell = element("div", {className: field, role: "columnheader"}, button);
    cell.dataset.field = field;
    return cell;
  }));
}

function measures() {
  const tall = state.shown.length * state.rowHeight;
  const seen = page.view.clientHeight - page.columns.offsetHeight;
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
  page.rows.replaceChildren(...state.shown.slice(first, end).map((entry, i) => drawRow(entry, first + i)));
  page.view.ariaRowCount = state.shown.length;
  const chosen = page.rows.querySelector("[aria-selected=true]");
  if (chosen) page.view.setAttribute("aria-activedescendant", chosen.id);
  else page.view.removeAttribute("aria-activedescendant");
}

function drawRow(entry, position) {
  const cells = state.columns.map(({field, text}) => {
    const shown = text(entry);
    return element("span", {className: field, role: "gridcell", textContent: shown, title: shown});
  });
  const row = element("div", {className: "row", role: "row", id: `row-${position}`, ariaRowIndex: position + 1}, ...cells);
  row.ariaSelected = entry.key === state.selected;
  row.classList.toggle("fresh", state.fresh.has(entry.key));
  return row;
}

function measure() {            // rows are taller where there is little room
  const height = page.rows.firstElementChild?.offsetHeight;
  const isOther = height && height !== state.rowHeight;
  if (isOther) state.rowHeight = height;
  draw();
  const position = isOther ? positionOf(state.selected) : -1;
  if (position >= 0) show(position);
}

function show(position) {       // scroll no further than it takes
  const {seen, scale} = measures();
  const top = position * state.rowHeight, offset = page.view.scrollTop * scale;
  if (top < offset) page.view.scrollTop = top / scale;
  else if (top + state.rowHeight > offset + seen) page.view.scrollTop = (top + state.rowHeight - seen) / scale;
}

function positionOf(key) { return state.shown.findIndex(entry => entry.key === key); }

function move(steps) {
  const last = state.shown.length - 1, now = positionOf(state.selected);
  const position = Math.max(0, Math.min(last, now < 0 ? (steps === Infinity ? last : 0) : now + steps));
  if (last < 0) return;
  show(position);
  select(state.shown[position]);
}
