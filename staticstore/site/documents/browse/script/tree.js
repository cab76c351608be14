// ---- the rows: a list of entries, or a tree of folders and entries ----

function arrange() {
  state.rows = state.isTree ? treeRows() : state.shown;
  draw();
}

// The folders that hold a key, with a slash at the end of each, which no key has.
function foldersOf(key) {
  const found = [];
  for (let slash = key.indexOf("/"); slash >= 0 && found.length < MOST_LEVELS; slash = key.indexOf("/", slash + 1)) {
    found.push(key.slice(0, slash + 1));
  }
  return found;
}

function treeRows() {
  const top = newFolder("", 0, "");
  const folders = new Map([["", top]]);
  for (const entry of state.shown) {
    const path = entry.key.slice(0, entry.key.lastIndexOf("/") + 1);
    if (!folders.has(path)) folders.set(path, addFolders(folders, entry.key));
    folders.get(path).entries.push(entry);
  }
  addUp(top);
  const rows = [];
  listFolder(top, rows);
  return rows;
}

function addFolders(folders, key) {  // return the one that holds the key
  let parent = folders.get("");
  for (const path of foldersOf(key)) {
    if (!folders.has(path)) {
      folders.set(path, newFolder(path, parent.level + 1, path.slice(parent.key.length)));
      parent.folders.push(folders.get(path));
    }
    parent = folders.get(path);
  }
  return parent;
}

function newFolder(key, level, name) {
  return {key, level, name, order: natural(name), folders: [], entries: [], count: 0, bytes: 0, isFolder: true};
}

function addUp(folder) {
  folder.folders.forEach(addUp);
  const sum = property => folder.folders.reduce((total, one) => total + one[property], 0);
  folder.count = folder.entries.length + sum("count");
  folder.bytes = bytesIn(folder.entries) + sum("bytes");
}

function listFolder({folders, entries, level, key}, rows) {
  const {field, falling} = state.sort;
  const rank = field === "size" ? "bytes" : "order";
  const sign = falling && (field === "size" || field === "key") ? -1 : 1;
  folders.sort((one, other) => sign * compare(one[rank], other[rank]) || compare(one.name, other.name));
  const siblings = folders.length + entries.length;
  folders.forEach((folder, i) => {
    Object.assign(folder, {position: i + 1, siblings});
    rows.push(folder);
    if (isOpen(folder.key)) listFolder(folder, rows);
  });
  entries.forEach((entry, i) => {
    entry.level = level + 1;
    entry.position = folders.length + i + 1;
    entry.siblings = siblings;
    entry.name = entry.key.slice(key.length);
    rows.push(entry);
  });
}

// A search opens the folders of what it finds; those that are closed meanwhile open again with the next.
function isOpen(path) { return state.query.length ? !state.shut.has(path) : state.open.has(path); }

function setOpen({key}, open) {
  const [folders, listed] = state.query.length ? [state.shut, !open] : [state.open, open];
  folders[listed ? "add" : "delete"](key);
  arrange();
  writeAddress(false);
}

function reveal(key) {          // open the folders that hold it
  if (!state.isTree) return;
  for (const path of foldersOf(key)) {
    state.open.add(path);
    state.shut.delete(path);
  }
  arrange();
}

function showAs(isTree) {
  settle();
  drawAs(isTree);
  const place = state.cursor ?? state.selected;
  if (place !== null) reveal(place);
  arrange();
  if (positionOf(place) >= 0) show(positionOf(place));
  writeAddress(true);
}

function drawAs(isTree) {
  state.isTree = isTree;
  page.flat.ariaPressed = !isTree;
  page.tree.ariaPressed = isTree;
  page.view.role = isTree ? "treegrid" : "grid";
}
