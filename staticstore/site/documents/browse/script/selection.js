// ---- which value is looked at ----

// Select an entry, or null; the first is a step, so that “back” closes it.
function select(entry, isStep = entry !== null && state.selected === null) {
  settle();
  const isEntered = page.preview.contains(document.activeElement);
  state.selected = entry?.key ?? null;
  if (entry) state.cursor = entry.key;
  writeAddress(isStep);
  state.preview?.abort();
  page.preview.hidden = !entry;
  nameTab();
  draw();
  if (entry) preview(entry);
  coverPage();
  if (!isEntered && !narrow.matches) return;
  if (entry) focusPreview();
  else page.view.focus();
}

function followHash() {
  const key = decoded(location.hash.slice(1));
  const entry = state.entries.find(one => one.key === key) ?? null;
  if (entry) reveal(key);
  const position = positionOf(key);
  if (position >= 0) show(position);
  if (entry ? key !== state.selected : state.selected !== null) select(entry, false);
}

function focusPreview() { page.preview.querySelector("button")?.focus(); }

function coverPage() {          // what the preview covers cannot be reached by the keyboard
  const isCovered = narrow.matches && state.selected !== null;
  for (const part of [page.skip, page.head, page.about, page.tools, page.filters, page.list]) part.inert = isCovered;
}

function nameTab() {            // the value that is looked at, then the site
  const name = page.name.textContent;
  const entry = state.selected !== null && state.entries.find(({key}) => key === state.selected);
  document.title = entry ? `${titleOf(entry)} – ${name}` : name;
}

function titleOf({key, metadata}) {
  return typeof metadata.title === "string" && metadata.title ? metadata.title : key.split("/").at(-1);
}
