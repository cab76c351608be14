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
  const folders = new Map();
  const top = newFolder("", 0);
  for (const entry of state.shown) {
    let parent = top;
    for (const path of foldersOf(entry.key)) {
      let folder = folders.get(path);
      if (!folder) {
        folder = newFolder(path, parent.level + 1, path.slice(parent.key.length));
        folders.set(path, folder);
        parent.folders.push(folder);
      }
      folder.count += 1;
      folder.bytes += isSize(entry.metadata.size) ? entry.metadata.size : 0;
      parent = folder;
    }
    parent.entries.push(entry);
  }
  const rows = [];
  listFolder(top, rows);
  return rows;
}

function newFolder(key, level, name = "") {
  return {key, level, name, folders: [], entries: [], count: 0, bytes: 0, isFolder: true};
}

function listFolder({folders, entries, level, key}, rows) {
  const {field, falling} = state.sort;
  const rank = folder => field === "size" ? folder.bytes : natural(folder.name);
  const sign = falling && (field === "size" || field === "key") ? -1 : 1;
  folders.sort((one, other) => sign * compare(rank(one), rank(other)) || compare(one.name, other.name));
  const siblings = folders.length + entries.length;
  folders.forEach((folder, i) => {
    Object.assign(folder, {position: i + 1, siblings});
    rows.push(folder);
    if (isOpen(folder.key)) listFolder(folder, rows);
  });
  entries.forEach((entry, i) => {
    Object.assign(entry, {level: level + 1, position: folders.length + i + 1, siblings, name: entry.key.slice(key.length)});
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
