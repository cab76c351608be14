// ---- what the reader does ----

const narrow = matchMedia("(max-width: 47.5em)");

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (page.syntax.matches(":popover-open")) return;  // Escape closes it
  const isTyping = event.target.matches("input:not([type=checkbox]), select");
  if (event.key === "/" && !isTyping) { page.search.focus(); page.search.select(); }
  else if (event.key === "Escape") goBack();
  else if (event.target === page.search && event.key === "ArrowDown") { page.view.focus(); move(0); }
  else if (event.target === page.view || event.target === document.body) return onTableKey(event);
  else return;
  event.preventDefault();
}

function onTableKey(event) {
  const rows = Math.max(1, Math.floor(measures().seen / state.rowHeight) - 1);
  const steps = {ArrowDown: 1, ArrowUp: -1, PageDown: rows, PageUp: -rows, Home: -Infinity, End: Infinity}[event.key];
  const isSideways = state.isTree && (event.key === "ArrowLeft" || event.key === "ArrowRight");
  if (steps === undefined && event.key !== "Enter" && !isSideways) return;
  event.preventDefault();
  page.view.focus();
  const row = state.rows[positionOf(state.cursor)];
  if (steps !== undefined) move(steps);
  else if (isSideways) row && moveSideways(row, event.key === "ArrowRight");
  else if (!row) move(0);
  else if (row.isFolder) setOpen(row, !isOpen(row.key));
  else if (row.key === state.selected) focusPreview();
  else select(row);
}

function moveSideways(row, isRight) {  // as in the treegrid pattern of ARIA
  const position = positionOf(row.key), isOpened = row.isFolder && isOpen(row.key);
  if (isRight && row.isFolder) isOpened ? goTo(position + 1) : setOpen(row, true);
  else if (!isRight && isOpened) setOpen(row, false);
  else if (!isRight && row.level > 1) goTo(positionOf(foldersOf(row.key.replace(/\/$/, ""))[row.level - 2]));
}

function onClick(event) {
  const drawn = event.target.closest(".row");
  if (!drawn) return;
  const row = state.rows[drawn.ariaRowIndex - 2];
  state.cursor = row.key;
  if (row.isFolder) setOpen(row, !isOpen(row.key));
  else select(row);
}

function goBack() {             // first from the preview, then from what was searched for
  if (state.selected !== null) select(null);
  else if (page.search.value || isFiltered()) clear();
  page.view.focus();
}

function showFilters(isShown) {
  page.unfold.ariaExpanded = isShown;
  page.filters.classList.toggle("folded", !isShown);
}

function onWidth() {            // on a narrow screen filters are folded, and the preview covers the page
  showFilters(!narrow.matches);
  page.search.placeholder = narrow.matches ? "Search keys and metadata" : "Search keys and metadata  ( / )";
  coverPage();
}

function siteName() { return decoded(ROOT.pathname.split("/").at(-2) ?? "") || ROOT.host; }

function begin() {
  page.name.textContent = siteName();
  readAddress();
  nameTab();
  narrow.addEventListener("change", onWidth);
  onWidth();
  page.search.addEventListener("input", typed);
  for (const event of ["change", "blur"]) page.search.addEventListener(event, settle);
  page.clear.addEventListener("click", () => { clear(); page.search.focus(); });
  page.flat.addEventListener("click", () => showAs(false));
  page.tree.addEventListener("click", () => showAs(true));
  page.csv.addEventListener("click", () => save("csv", "text/csv", csvOf(state.shown)));
  page.json.addEventListener("click", () => save("json", "application/json", jsonOf(state.shown)));
  page.unfold.addEventListener("click", () => showFilters(page.unfold.ariaExpanded !== "true"));
  page.skip.addEventListener("click", event => { event.preventDefault(); page.view.focus(); });
  page.view.addEventListener("scroll", () => requestAnimationFrame(draw), {passive: true});
  page.rows.addEventListener("click", onClick);
  addEventListener("keydown", onKey);
  addEventListener("popstate", followAddress);
  makeColumns();
  new ResizeObserver(measure).observe(page.view);
  new ResizeObserver(measure).observe(page.rows);
  followOn();
}

begin();
