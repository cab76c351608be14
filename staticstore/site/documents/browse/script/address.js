// ---- the address: search, filters, sorting and view in its query, the value in its fragment ----

const OURS = ["q", "sort", "view", "open", "poll"];
let typing = 0;                 // a timer, while a search is being typed

function parameterOf(field) {   // a field that is called as one of ours has a prefix
  return OURS.includes(field) || field.startsWith("field.") ? `field.${field}` : field;
}

function queryOf() {
  const query = new URLSearchParams();
  if (page.search.value.trim()) query.set("q", page.search.value.trim());
  for (const [field, chosen] of state.chosen) for (const value of chosen) query.append(parameterOf(field), value);
  const {field, falling} = state.sort;
  if (field !== "key" || falling) query.set("sort", (falling ? "-" : "") + field);
  if (state.isTree) {
    query.set("view", "tree");
    const open = [...state.open];
    if (open.join("").length <= MOST_OPEN) for (const path of open) query.append("open", path);
  }
  const poll = new URLSearchParams(location.search).get("poll");
  if (poll !== null) query.set("poll", poll.slice(0, 20));
  const text = query.toString().replace(/%(2F|3A|2C|40)/g, decodeURIComponent);  // as readable as may be
  return text && `?${text}`;
}

function writeAddress(isStep) {  // a step is what “back” undoes
  const hash = !state.loaded ? location.hash : state.selected === null ? "" : `#${quoted(state.selected)}`;
  const address = location.pathname + queryOf() + hash;
  if (address === location.pathname + location.search + location.hash) return;
  try {
    history[isStep ? "pushState" : "replaceState"](null, "", address);
  } catch {                     // the browser limits how often; the next change writes it
  }
}

function readAddress() {
  const query = new URLSearchParams(location.search.length > MOST_ADDRESS ? "" : location.search);
  page.search.value = (query.get("q") ?? "").slice(0, MOST_QUERY);
  const [, minus, field] = /^(-?)(.*)$/s.exec(query.get("sort") ?? "");
  const isColumn = COLUMNS.some(column => column.field === field);
  state.sort = isColumn ? {field, falling: minus === "-"} : {field: "key", falling: false};
  for (const path of query.getAll("open")) state.open.add(path);
  state.chosen = new Map();
  for (const [name, value] of query) {
    if (OURS.includes(name)) continue;
    const field = name.startsWith("field.") ? name.slice(6) : name;
    if (!state.chosen.has(field)) state.chosen.set(field, new Set());
    if (state.chosen.get(field).size < MOST_FACET_VALUES) state.chosen.get(field).add(value);
  }
  drawAs(query.get("view") === "tree");
}

function typed() {              // one step for all the letters of a search
  search();
  clearTimeout(typing);
  typing = setTimeout(settle, TYPING);
}

function settle() {             // what was typed becomes a step of its own
  if (typing) writeAddress(true);
  clearTimeout(typing);
  typing = 0;
}

function followAddress() {      // “back”, “forward”, or a fragment typed by hand
  clearTimeout(typing);
  typing = 0;
  if (!state.loaded) return;
  const before = queryOf();
  readAddress();
  if (queryOf() !== before) {
    makeFacets();
    state.shut.clear();
    sort();
  }
  followHash();
}
