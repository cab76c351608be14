// ---- the language of the search ----

const RELATIONS = {"<": o => o < 0, "<=": o => o <= 0, ">": o => o > 0, ">=": o => o >= 0, "=": o => o === 0};

function parseQuery(text) {     // a list of terms; an entry that matches passes the test of each
  const tokens = text.slice(0, MOST_QUERY).matchAll(/(-?)((?:[^\s"]|"[^"]*"?)+)/g);
  return [...tokens].slice(0, MOST_TERMS).flatMap(([, minus, body]) => {
    const test = termOf(body);
    return test ? [minus ? entry => !test(entry) : test] : [];
  });
}

function termOf(body) {         // null if there is nothing to look for yet
  const bare = body.split('"', 1)[0];
  // Names may contain colons, as proj:epsg does: the longest that is a field counts.
  for (let colon = bare.lastIndexOf(":"); colon > 0; colon = bare.lastIndexOf(":", colon - 1)) {
    const paths = fieldsNamed(bare.slice(0, colon));
    if (paths.length) return fieldTest(paths, body.slice(colon + 1));
  }
  const word = body === "-" ? "" : folded(body.replaceAll('"', ""));
  return word && (entry => entry.text.includes(word) || entry.metadata.sha256 === word);
}

function fieldsNamed(name) {    // as in the metadata, in upper or lower case, and a.b within a
  if (folded(name) === "key") return ["key"];
  const whole = state.fields.get(folded(name));
  if (whole) return whole;
  for (let dot = name.indexOf("."); dot > 0; dot = name.indexOf(".", dot + 1)) {
    const outer = state.fields.get(folded(name.slice(0, dot)));
    if (outer) return outer.map(found => found + name.slice(dot));
  }
  return [];
}

function fieldTest(paths, wanted) {
  const test = valueTest(wanted);
  if (paths[0] === "key") return entry => test(entry.key);
  return ({metadata}) => paths.some(path => valuesAt(metadata, path).some(test));
}

function valuesAt(value, path) {  // those of a list one by one
  if (Array.isArray(value)) return value.filter(isObject).flatMap(one => valuesAt(one, path));
  if (!isObject(value)) return [];
  if (Object.hasOwn(value, path)) return [value[path]].flat();
  for (let dot = path.indexOf("."); dot > 0; dot = path.indexOf(".", dot + 1)) {
    const outer = path.slice(0, dot);
    if (Object.hasOwn(value, outer)) return valuesAt(value[outer], path.slice(dot + 1));
  }
  return [];
}

function valueTest(wanted) {
  const [, sign, operand] = /^([<>]=?|=)?([^]*)$/.exec(folded(wanted).replaceAll('"', ""));
  if (!operand) return () => true;  // the field is there
  if (!sign || wanted.startsWith('"')) {
    const text = folded(wanted.replaceAll('"', ""));
    return value => folded(textOf(value)).includes(text);
  }
  const holds = RELATIONS[sign], number = numberOf(operand);
  const isDate = /^\d{4}(-\d\d(-\d\d.*)?)?$/.test(operand);
  return value => {
    if (typeof value === "number") return number !== null && holds(compare(value, number));
    const text = folded(textOf(value));
    // A month is compared with the month of a date.
    if (isDate && /^\d{4}-\d\d/.test(text)) return holds(compare(text.slice(0, operand.length), operand));
    if (number === null) return holds(compare(natural(text), natural(operand)));
    return numberOf(text) !== null && holds(compare(numberOf(text), number));
  };
}

function numberOf(text) {       // 5, 0.5, 2e3, 5kB; null for others
  const [, digits, unit] = /^(-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(?:([kmgtp]?)b)?$/.exec(text) ?? [];
  return digits === undefined ? null : Number(digits) * 1000 ** " kmgtp".indexOf(unit || " ");
}
