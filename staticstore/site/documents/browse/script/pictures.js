// ---- the picture that a value's metadata names ----

function keyFrom(key, reference) {  // "./a" and "../a" begin in the value's own folder
  if (!/^\.\.?\//.test(reference)) return reference;
  const parts = key.split("/").slice(0, -1);
  for (const part of reference.split("/")) {
    if (part === ".." && !parts.length) return null;
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

function hasPicture({key, metadata: {preview}}) {
  return typeof preview === "string" && preview !== "" && keyFrom(key, preview) !== key;
}

async function showPicture(figure, entry, signal) {
  const {preview} = entry.metadata, url = webUrl(preview);
  try {
    figure.replaceChildren(...url ? await pictureAt(url, entry, signal) : await pictureOf(entry, signal));
  } catch (error) {
    if (signal.aborted) return;
    figure.replaceChildren(note(`No picture “${preview.slice(0, 300)}”: ${error.message}. `, true));
    if (url) figure.firstChild.append(linkTo(url, "Open it"));
  }
}

async function pictureOf(entry, signal) {
  const key = keyFrom(entry.key, entry.metadata.preview);
  const named = state.entries.find(other => other.key === key);
  if (!named) throw new Error("the index has no such key, and it is no address of the web");
  if (kindOf(named) !== "image") throw new Error("browsers cannot show it");
  if (named.metadata.size > MOST_BYTES.image) throw new Error("it is too large");
  const {bytes, isWhole, isVerified} = await bytesOf(named, MOST_BYTES.image, signal);
  const [image] = await imageOf(bytes, {entry: named, isWhole, signal});
  const said = note(`${key}${isVerified ? " " : ""}`);
  if (isVerified) said.append(element("b", {textContent: "✓ verified"}));
  return [image, said];
}

async function pictureAt(url, entry, signal) {
  const image = element("img", {alt: `Preview of ${entry.key}`, crossOrigin: "anonymous", referrerPolicy: "no-referrer", src: url.href});
  signal.addEventListener("abort", () => image.removeAttribute("src"));
  const from = element("p", {className: "note"}, "From ", linkTo(url, url.host), ", not verified");
  try {
    await image.decode();
  } catch {
    throw new Error(`${url.host} does not give it to this page`);  // it is asked without cookies (CORS)
  }
  return [image, from];
}
