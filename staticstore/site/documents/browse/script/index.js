// ---- the index, and how it changes ----

async function digestOf(bytes) {  // null where the browser hashes nothing: on plain http
  if (!globalThis.crypto?.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, byte => byte.toString(16).padStart(2, "0")).join("");
}

async function answered(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "TypeError") throw new Error("the site does not answer");
    throw error.name === "TimeoutError" ? new Error("the site did not answer in time") : error;
  }
}

function request(path, seconds) {
  return answered(new URL(path, ROOT), {cache: "no-cache", signal: AbortSignal.timeout(seconds * 1000)});
}

async function readHead() {     // null if there is none, or something else in its place
  const response = await request("index.head.json", 30);
  if (!response.ok) return null;
  try {
    const head = JSON.parse(await response.text());
    const isHead = head.format === "staticstore-head/1" && /^[0-9a-f]{64}$/.test(head.index.sha256);
    return isHead ? head : null;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
}

async function readIndex(held) {  // null if it is the one that is held
  const response = await request("index.json", 300);
  if (!response.ok) throw new Error(`the host answered ${response.status} for index.json`);
  const validator = response.headers.get("ETag") ?? response.headers.get("Last-Modified");
  if (!held.head && validator && validator === held.validator) {
    await response.body.cancel();
    return null;
  }
  const body = await response.arrayBuffer();
  const sha256 = await digestOf(body);
  if (sha256 && sha256 === held.sha256) return null;
  let found;
  try {
    found = JSON.parse(new TextDecoder("utf-8", {fatal: true}).decode(body));
  } catch {
    throw new Error("index.json is not JSON in UTF-8");
  }
  if (!isObject(found)) throw new Error("index.json is no object");
  return {found, sha256, validator};
}

function isObject(value) { return typeof value === "object" && value !== null && !Array.isArray(value); }

function entryOf(key, metadata) {
  const {packed, stored} = metadata;
  if (Array.isArray(packed) && packed.length === 2 && typeof packed[0] === "string" && isSize(packed[1])) {
    delete metadata.packed;     // where else the bytes are is the readers' own business
  }
  if (Array.isArray(stored) && stored.length === 3 && stored[0] === "zstd" && isSize(stored[1])) {
    delete metadata.stored;
  }
  // Not the digest: in some of many a short word stands by chance.
  const texts = Object.entries(metadata).map(([field, value]) => field === "sha256" ? "" : textOf(value));
  const text = folded([key, ...texts].join("\n"));
  return {key, metadata, text, raw: JSON.stringify(metadata)};
}

async function poll() {
  const held = state.held;
  const head = await readHead();
  const isLate = head && held.head && head.lineage === held.head.lineage && head.generation < held.head.generation;
  if (!isLate) await followAbout(head);
  if (isLate || (head && head.index.sha256 === held.sha256)) return;
  const read = await readIndex({...held, head});
  if (!read) {
    state.held = {...held, head};
    return;
  }
  const pairs = Object.entries(read.found).filter(([key, metadata]) => isKey(key) && isObject(metadata));
  state.left = Object.keys(read.found).length - pairs.length;
  // Without a digest of our own the head's word counts; with one, a lagging index is asked for again.
  state.held = {sha256: read.sha256 ?? head?.index.sha256 ?? null, validator: read.validator, head};
  take(pairs.map(([key, metadata]) => entryOf(key, metadata)));
  endFirstScreen();
}
