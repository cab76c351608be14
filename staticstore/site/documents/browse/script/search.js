// ---- searching, filtering, sorting ----

function facetValues(entry, field) {
  const value = Object.hasOwn(entry.metadata, field) ? entry.metadata[field] : undefined;
  return (Array.isArray(value) ? value : [value]).filter(one => ["string", "boolean", "number"].includes(typeof one)).map(String);
}

function makeFacets() {
  const chosen = new Map(state.facets.map(facet => [facet.field, facet.chosen]));
  const tallies = new Map();    // field → {values: Map from value to count, entries}
  for (const entry of state.entries) {
    for (const field of Object.keys(entry.metadata)) {
      if (!tallies.has(field)) tallies.set(field, {values: new Map(), entries: 0, isNumeric: true});
      const tally = tallies.get(field);
      if (tally.values.size > MOST_FACET_VALUES) continue;
      for (const value of facetValues(entry, field)) tally.values.set(value, (tally.values.get(value) ?? 0) + 1);
      tally.entries += 1;
      tally.isNumeric &&= typeof entry.metadata[field] === "number";
    }
  }
  const isUseful = ([field, {values, entries}]) => values.size > 1 && values.size <= MOST_FACET_VALUES
    && (field === "type" || values.size <= entries / 2);
  const order = ([field, {entries, isNumeric}]) => field === "type" ? Infinity : isNumeric ? entries / 1e9 : entries;
  const found = [...tallies].filter(isUseful);
  found.sort((one, other) => order(other) - order(one) || compare(one[0], other[0]));
  state.facets = found.slice(0, MOST_FACETS).map(([field, {values}]) => {
    const still = [...chosen.get(field) ?? []].filter(value => values.has(value));
    return {field, values: [...values.keys()].sort(compare), chosen: new Set(still), boxes: new Map()};
  });
  page.facets.replaceChildren(...state.facets.map(drawFacet));
  page.filters.hidden = !state.facets.length;
}

function drawFacet(facet) {
  const labels = facet.values.map(value => {
    const input = element("input", {type: "checkbox", checked: facet.chosen.has(value)});
    const count = element("small");
    const label = element("label", {title: value}, input, element("span", {textContent: value}), count);
    input.addEventListener("change", () => {
      facet.chosen[input.checked ? "add" : "delete"](value);
      search();
    });
    facet.boxes.set(value, {label, count});
    return label;
  });
  return element("fieldset", {}, element("legend", {textContent: facet.field}), ...labels);
}

function compare(one, other) { return one < other ? -1 : one > other ? 1 : 0; }

function sort() {
  const {field, falling} = state.sort;
  const valueOf = entry => field === "key" ? entry.key : entry.metadata[field];
  const rank = value => typeof value === "number" ? 0 : typeof value === "string" ? 1 : 2;
  const sign = falling ? -1 : 1;
  state.entries.sort((one, other) => {
    const [a, b] = [valueOf(one), valueOf(other)];
    return rank(a) - rank(b) || (rank(a) < 2 && sign * compare(a, b)) || compare(one.key, other.key);
  });
  for (const cell of page.columns.children) {
    cell.ariaSort = cell.dataset.field !== field ? "none" : falling ? "descending" : "ascending";
  }
  filter();
}

function search() {
  page.view.scrollTop = 0;
  filter();
}

function filter() {
  const words = folded(page.search.value).split(/\s+/).filter(Boolean);
  const tallies = state.facets.map(() => new Map());
  state.shown = state.entries.filter(entry => {
    if (!words.every(word => entry.text.includes(word) || entry.metadata.sha256 === word)) return false;
    const values = state.facets.map(facet => facetValues(entry, facet.field));
    const failing = state.facets.flatMap(({chosen}, i) =>
      !chosen.size || values[i].some(value => chosen.has(value)) ? [] : [i]);
    // A facet counts what would be shown if nothing were chosen in it.
    if (failing.length < 2) {
      for (const i of failing.length ? failing : values.keys()) {
        for (const value of values[i]) tallies[i].set(value, (tallies[i].get(value) ?? 0) + 1);
      }
    }
    return !failing.length;
  });
  state.facets.forEach((facet, i) => facet.boxes.forEach(({label, count}, value) => {
    count.textContent = (tallies[i].get(value) ?? 0).toLocaleString("en");
    label.classList.toggle("none", !tallies[i].has(value));
  }));
  const all = state.entries.length;
  const isAll = state.shown.length === all;
  page.columns.querySelector("button").textContent = isAll ? "Key" : `Key · ${state.shown.length.toLocaleString("en")} of ${all.toLocaleString("en")}`;
  page.empty.hidden = state.shown.length > 0;
  page.empty.textContent = all ? "Nothing matches. Escape clears search and filters." : "This site has no values yet.";
  draw();
}
