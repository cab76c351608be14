// ---- the list as it is filtered and sorted, as a file ----

// Spreadsheets take what begins so for a formula (OWASP, "CSV Injection"): an apostrophe makes it text.
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;

function csvCell(value) {
  if (value === undefined || value === null) return "";
  const text = typeof value === "string" && FORMULA.test(value) ? `'${value}` : textOf(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csvOf(entries) {       // RFC 4180, with the mark by which Excel recognizes UTF-8
  const known = COLUMNS.map(({field}) => field);
  const found = new Set(entries.flatMap(({metadata}) => Object.keys(metadata)));
  const others = [...found].filter(field => !known.includes(field)).sort();
  const fields = [...known.filter(field => field !== "key" && found.has(field)), ...others];
  const lines = entries.map(({key, metadata}) =>
    [key, ...fields.map(field => Object.hasOwn(metadata, field) ? metadata[field] : undefined)]);
  return "\ufeff" + [["key", ...fields], ...lines].map(cells => cells.map(csvCell).join(",") + "\r\n").join("");
}

function jsonOf(entries) {      // as index.json: a line for each entry
  return `{\n${entries.map(({key, raw}) => `${JSON.stringify(key)}: ${raw}`).join(",\n")}\n}\n`;
}

function save(suffix, type, text) {
  const now = new Date(), two = number => String(number).padStart(2, "0");
  const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  const title = page.name.textContent.replace(/[^\p{L}\p{M}\p{N} ._-]+/gu, " ").replace(/^[ .]+/, "").slice(0, 80).trim();
  const url = URL.createObjectURL(new Blob([text], {type}));
  element("a", {href: url, download: `${title || "site"} ${day}.${suffix}`}).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}
