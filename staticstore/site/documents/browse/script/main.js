// ---- what the reader does ----

function onKey(event) {
  const isTyping = event.target.matches("input[type=search], select");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && !isTyping) { page.search.select(); page.search.focus(); }
  else if (event.key === "Escape") goBack();
  else if (event.target === page.search && event.key === "ArrowDown") { page.view.focus(); move(0); }
  else if (event.target === page.view || event.target === document.body) return onTableKey(event);
  else return;
  event.preventDefault();
}

function onTableKey(event) {
  const rows = Math.max(1, Math.floor(page.view.clientHeight / state.rowHeight) - 1);
  const steps = {ArrowDown: 1, ArrowUp: -1, PageDown: rows, PageUp: -rows, Home: -Infinity, End: Infinity, Enter: 0}[event.key];
  if (steps === undefined) return;
  event.preventDefault();
  page.view.focus();
  move(steps);
}

function goBack() {             // first from the preview, then from what was searched for
  if (state.selected !== null) select(null);
  else if (page.search.value || state.facets.some(({chosen}) => chosen.size)) {
    page.search.value = "";
    state.facets.forEach(({chosen}) => chosen.clear());
    for (const box of page.facets.querySelectorAll("input")) box.checked = false;
    search();
  }
  page.view.focus();
}

function siteName() { return decoded(ROOT.pathname.split("/").at(-2) ?? "") || ROOT.host; }

function begin() {
  page.name.textContent = document.title = siteName();
  const narrow = matchMedia("(max-width: 760px)");
  const unfold = () => {
    page.filters.open = !narrow.matches;
    page.search.placeholder = narrow.matches ? "Search keys and metadata" : "Search keys and metadata  ( / )";
  };
  narrow.addEventListener("change", unfold);
  unfold();
  page.search.addEventListener("input", search);
  page.view.addEventListener("scroll", () => requestAnimationFrame(draw), {passive: true});
  page.rows.addEventListener("click", event => {
    const row = event.target.closest(".row");
    if (row) select(state.shown[row.ariaRowIndex - 1]);
  });
  addEventListener("keydown", onKey);
  addEventListener("popstate", followHash);
  makeColumns();
  new ResizeObserver(measure).observe(page.view);
  new ResizeObserver(measure).observe(page.rows);
  follow();
}

begin();
