// ---- filters by the values of a field ----

// Values of these say nothing of what an entry is about.
const NO_FACET = /^(key|size|modified|etag|e_tag|.*\b(sha-?\d+|md5|crc-?\d+|blake\w+|checksum|digest)\b.*|(file_)?hash)$/i;

function facetValues(entry, field) {
  const value = Object.hasOwn(entry.metadata, field) ? entry.metadata[field] : undefined;
  return (Array.isArray(value) ? value : [value]).filter(one => ["string", "boolean", "number"].includes(typeof one)).map(String);
}

function tallyFields() {        // field → {values: Map from value to how many, entries, isNumeric}
  const tallies = new Map();
  for (const entry of state.entries) {
    for (const field of Object.keys(entry.metadata)) {
      if (!tallies.has(field)) tallies.set(field, {values: new Map(), entries: 0, isNumeric: true});
      const tally = tallies.get(field);
      if (tally.values.size > MOST_FACET_VALUES) continue;
      count(tally.values, facetValues(entry, field));
      tally.entries += 1;
      tally.isNumeric &&= typeof entry.metadata[field] === "number";
    }
  }
  return tallies;
}

function makeFacets() {
  const before = state.facets;
  const tallies = tallyFields();
  state.fields = Map.groupBy(tallies.keys(), folded);
  for (const field of state.chosen.keys()) if (!tallies.has(field)) state.chosen.delete(field);
  const isUseful = ([field, {values, entries}]) => !NO_FACET.test(field)
    && values.size > 1 && values.size <= MOST_FACET_VALUES
    && (field === "type" || values.size <= entries / 2)
    && [...values.keys()].every(value => value.length <= MOST_FACET_TEXT);
  const order = ([field, {entries, isNumeric}]) => field === "type" ? Infinity : isNumeric ? entries / 1e9 : entries;
  const useful = [...tallies].filter(isUseful);
  useful.sort((one, other) => order(other) - order(one) || compare(one[0], other[0]));
  const asked = [...state.chosen].filter(([, chosen]) => chosen.size).map(([field]) => field);
  // What an address asks for is shown, so that it can be undone, even if it is no useful filter.
  const offered = new Set(useful.slice(0, MOST_FACETS).map(([field]) => field));
  state.facets = [...new Set([...offered, ...asked])].map(field => {
    const {values, isNumeric} = tallies.get(field);
    const chosen = state.chosen.get(field) ?? new Set();
    state.chosen.set(field, chosen);
    const all = [...new Set([...offered.has(field) ? values.keys() : [], ...chosen])];
    const rank = isNumeric ? Number : natural;
    all.sort((one, other) => compare(rank(one), rank(other)) || compare(one, other));
    return {field, values: all, chosen, boxes: new Map()};
  });
  for (const entry of state.entries) entry.facets = state.facets.map(({field}) => facetValues(entry, field));
  drawFacets(before);
  page.filters.hidden = page.unfold.hidden = !state.facets.length;
}

function drawFacets(before) {    // those that are there stay, with focus and scroll position
  const shape = facets => JSON.stringify(facets.map(({field, values}) => [field, values]));
  if (shape(before) !== shape(state.facets)) page.facets.replaceChildren(...state.facets.map(drawFacet));
  else state.facets.forEach((facet, i) => { facet.boxes = before[i].boxes; });
  for (const {boxes, chosen} of state.facets) boxes.forEach(({input}, value) => { input.checked = chosen.has(value); });
}

function drawFacet(facet) {
  const labels = facet.values.map(value => {
    const input = element("input", {type: "checkbox"});
    const count = element("small");
    const label = element("label", {title: value}, input, element("span", {textContent: value || "(empty)"}), count);
    input.addEventListener("change", () => {
      settle();
      state.chosen.get(facet.field)[input.checked ? "add" : "delete"](value);
      search();
      writeAddress(true);
    });
    facet.boxes.set(value, {label, count, input});
    return label;
  });
  return element("fieldset", {}, element("legend", {textContent: facet.field}), element("div", {}, ...labels));
}

function drawCounts(tallies) {
  state.facets.forEach((facet, i) => facet.boxes.forEach(({label, count}, value) => {
    count.textContent = (tallies[i].get(value) ?? 0).toLocaleString("en");
    label.classList.toggle("none", !tallies[i].has(value));
  }));
}
