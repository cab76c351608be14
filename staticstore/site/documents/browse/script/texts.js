// ---- texts ----

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function drawing(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

function textOf(value) {
  return value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
}

function isSize(value) { return Number.isSafeInteger(value) && value >= 0; }

function sizeText(size) {
  const units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  for (; size >= 999.95 && unit < units.length - 1; unit++) size /= 1000;
  return `${unit ? size.toFixed(1) : size} ${units[unit]}`;
}

function dateText(value) {
  return /^\d{4}-\d\d-\d\d/.exec(typeof value === "string" ? value : "")?.[0] ?? "";
}

function folded(text) { return text.normalize().toLowerCase(); }  // an accent can be written in two ways

function decoded(text) {        // a URL typed by hand may have nothing quoted
  try { return decodeURIComponent(text); } catch { return text; }
}

function countText(count, one, many) { return `${count.toLocaleString("en")} ${count === 1 ? one : many}`; }
