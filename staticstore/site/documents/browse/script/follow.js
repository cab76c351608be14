// ---- what is new ----

function take(entries) {
  const before = new Map(state.entries.map(entry => [entry.key, entry.raw]));
  const isFirst = !state.loaded;
  const added = entries.filter(entry => !before.has(entry.key));
  const changed = entries.filter(entry => before.has(entry.key) && before.get(entry.key) !== entry.raw);
  const gone = before.size - (entries.length - added.length);
  if (!isFirst && !added.length && !changed.length && !gone) return;
  state.fresh = new Set(isFirst ? [] : [...added, ...changed].map(entry => entry.key));
  state.entries = entries;
  state.loaded = true;
  state.bytes = bytesIn(entries);
  state.updated = new Date().toLocaleTimeString()
    + (isFirst ? "" : `: ${added.length} new, ${changed.length} changed, ${gone} gone`);
  makeColumns();
  makeFacets();
  sort();
  const selected = entries.find(entry => entry.key === state.selected);
  if (isFirst) followHash();
  else if (state.selected !== null && (!selected || state.fresh.has(state.selected))) select(selected ?? null);
}

async function follow() {
  try {
    await poll();
    const parts = [countText(state.entries.length, "entry", "entries"), sizeText(state.bytes)];
    if (state.left) parts.push(`${state.left} left out`);
    say([...parts, `updated ${state.updated}`].join(" · "), false);
  } catch (error) {
    const reason = location.protocol === "file:"
      ? "browsers read it over HTTP alone, as “staticstore serve” gives it" : error.message;
    say(`The index could not be read: ${reason}`, true);
  }
}

async function followOn() {
  await follow();
  setTimeout(() => {            // who does not look needs no polls
    if (document.hidden) document.addEventListener("visibilitychange", followOn, {once: true});
    else followOn();
  }, POLL);
}

function say(text, failed) {
  if (page.status.textContent !== text) page.status.textContent = text;  // each change is read aloud
  page.status.classList.toggle("failed", failed);
}
