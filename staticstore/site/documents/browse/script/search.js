// ---- searching, filtering, sorting ----

function sort() {
  const {field, falling} = state.sort;
  const valueOf = ({key, metadata}) => field === "key" ? key : Object.hasOwn(metadata, field) ? metadata[field] : undefined;
  const sign = falling ? -1 : 1;
  const ranked = state.entries.map(entry => {  // numbers, then texts, then what is missing
    const value = valueOf(entry);
    if (typeof value === "number") return {entry, rank: 0, value};
    return typeof value === "string" ? {entry, rank: 1, value: natural(value)} : {entry, rank: 2, value: 0};
  });
  ranked.sort((a, b) => a.rank - b.rank || sign * compare(a.value, b.value) || compare(a.entry.key, b.entry.key));
  state.entries = ranked.map(({entry}) => entry);
  for (const cell of page.columns.children) {
    cell.ariaSort = cell.dataset.field !== field ? "none" : falling ? "descending" : "ascending";
  }
  filter();
}

function search() {
  page.view.scrollTop = 0;
  state.shut.clear();
  filter();
}

function count(tally, values) {
  for (const value of values) tally.set(value, (tally.get(value) ?? 0) + 1);
}

function filter() {
  state.query = parseQuery(page.search.value);
  const tallies = state.facets.map(() => new Map());
  state.shown = state.entries.filter(entry => {
    if (!state.query.every(test => test(entry))) return false;
    const values = entry.facets;
    const isFailing = ({chosen}, i) => chosen.size > 0 && !values[i].some(value => chosen.has(value));
    const failing = state.facets.findIndex(isFailing);
    // A facet counts what would be shown if nothing were chosen in it.
    if (failing < 0) tallies.forEach((tally, i) => count(tally, values[i]));
    else if (failing === state.facets.findLastIndex(isFailing)) count(tallies[failing], values[failing]);
    return failing < 0;
  });
  drawCounts(tallies);
  sayCount();
  arrange();
}

function isFiltered() { return state.query.length > 0 || state.facets.some(({chosen}) => chosen.size); }

function sayCount() {
  const all = state.entries.length, shown = state.shown.length;
  const text = isFiltered() ? `${shown.toLocaleString("en")} of ${all.toLocaleString("en")} · ${sizeText(bytesIn(state.shown))}` : "";
  if (page.count.textContent !== text) page.count.textContent = text;  // each change is read aloud
  page.clear.hidden = !isFiltered();
  page.empty.hidden = shown > 0 || !state.loaded;
  page.empty.textContent = all ? "Nothing matches. Escape clears search and filters." : "This site has no values yet.";
  page.csv.disabled = page.json.disabled = !shown;
}

function bytesIn(entries) {
  return entries.reduce((sum, {metadata}) => sum + (isSize(metadata.size) ? metadata.size : 0), 0);
}

function clear() {
  settle();
  page.search.value = "";
  state.facets.forEach(({chosen}) => chosen.clear());
  for (const box of page.facets.querySelectorAll("input")) box.checked = false;
  search();
  writeAddress(true);
}
