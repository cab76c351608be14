// ---- the value that is looked at ----

async function preview(entry) {
  const controller = state.preview = new AbortController();
  const {key, metadata} = entry;
  const name = key.split("/").at(-1);
  const figure = element("figure");
  const close = element("button", {id: "close", type: "button", textContent: "×", title: "Close (Escape)", ariaLabel: "Close"});
  close.addEventListener("click", () => { select(null); page.view.focus(); });
  const size = isSize(metadata.size) ? `  ${sizeText(metadata.size)}` : "";
  const format = formatOf(entry);
  const {telling, section} = format ? describe(entry, format) : {telling: [], section: ""};
  const {sha256, ...others} = metadata;
  const fields = Object.entries(others).filter(([field]) => !telling.includes(field)).flatMap(([field, value]) => [
    element("dt", {textContent: field}), element("dd", {textContent: textOf(value)})]);
  const pictures = hasPicture(entry) ? [element("figure", {className: "picture"}, note("Reading …"))] : [];
  page.preview.replaceChildren(
    close, element("h2", {textContent: titleOf(entry)}),
    element("p", {className: "path", textContent: key}),
    element("a", {className: "get", href: urlOf(key), download: name, textContent: `Download${size}`}),
    copyButtons(entry),
    element("p", {className: "sha256", hidden: sha256 === undefined, textContent: `sha256 ${textOf(sha256)}`}),
    ...pictures, figure, section, ...placeOf(entry, page.preview.clientWidth), element("dl", {}, ...fields));
  page.preview.scrollTop = 0;
  await new Promise(resolve => setTimeout(resolve, 80));  // who runs through the rows fetches nothing
  if (controller.signal.aborted) return;
  for (const picture of pictures) showPicture(picture, entry, controller.signal);
  try {
    await fill(figure, entry, controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) figure.replaceChildren(note(`No preview: ${error.message}`, true));
  }
}

function note(text, failed = false) {
  return element("p", {className: failed ? "note failed" : "note", textContent: text});
}

function kindOf({key, metadata}) {
  const ending = /\.([^./]+)$/.exec(key)?.[1].toLowerCase() ?? "";
  const type = typeof metadata.media_type === "string" ? metadata.media_type.split(";")[0].trim().toLowerCase() : "";
  if (/^image\/(png|jpeg|gif|webp|avif|bmp|svg\+xml|x-icon)$/.test(type)) return "image";
  if (!type && /^(png|jpe?g|gif|webp|avif|bmp|svg)$/.test(ending)) return "image";
  if (/^text\/(csv|tab-separated-values)$/.test(type) || /^(csv|tsv)$/.test(ending)) return "table";
  if (type === "application/geo+json" || ending === "geojson") return "map";
  if (/^(audio|video)\//.test(type)) return "media";
  if (/^application\/(.+\+)?json$/.test(type) || (!type && ending === "json")) return "json";
  const isText = !type || type.startsWith("text/") || /[/+.-](json|xml|yaml|toml|javascript|jsonl|ndjson|sql)$/.test(type);
  return isText || /^(md|txt|log|ini|cfg|py|toml|ya?ml|jsonl|prj|wkt)$/.test(ending) ? "text" : null;
}

async function fill(figure, entry, signal) {
  const kind = kindOf(entry);
  const isGuess = kind === "text" && entry.metadata.media_type === undefined;
  if (!kind || isGuess && formatOf(entry)) {
    const isShown = formatOf(entry) || hasPicture(entry);
    return isShown ? figure.remove() : figure.replaceChildren(note(`There is no preview of ${entry.metadata.media_type}.`));
  }
  const {size} = entry.metadata;
  if (["image", "map", "media"].includes(kind) && isSize(size) && size > MOST_BYTES[kind]) {
    return figure.replaceChildren(note("It is too large for a preview."));
  }
  figure.replaceChildren(note("Reading …"));
  const {bytes, isWhole, isVerified} = await bytesOf(entry, MOST_BYTES[kind], signal);
  const drawn = await {image: imageOf, media: mediaOf, table: tableOf, map: mapOf, json: jsonText, text: plainText}[kind](bytes, {entry, isWhole, width: figure.clientWidth, signal});
  if (signal.aborted) return;
  figure.replaceChildren(...drawn);
  const unable = isWhole && !globalThis.crypto?.subtle ? " not verified: browsers can only do that over https" : "";
  page.preview.querySelector(".sha256").append(isVerified ? element("b", {textContent: " ✓ verified"}) : unable);
}

async function bytesOf({key, metadata}, most, signal) {
  const response = await answered(urlOf(key), {cache: "no-cache", signal});
  if (!response.ok) throw new Error(`the host answered ${response.status}`);
  const reader = response.body.getReader(), parts = [];
  let count = 0, isWhole = false;
  while (count <= most && !isWhole) {
    const {done, value} = await reader.read();
    if (done) isWhole = true;
    else { parts.push(value); count += value.length; }
  }
  if (!isWhole) await reader.cancel();
  const bytes = await new Blob(parts).slice(0, most).arrayBuffer();
  if (!isWhole) return {bytes, isWhole, isVerified: false};
  const isLonger = isSize(metadata.size) && metadata.size !== count;
  const digest = typeof metadata.sha256 === "string" ? await digestOf(bytes) : null;
  if (isLonger || (digest && digest !== metadata.sha256)) throw new Error("the bytes are not those that the index describes");
  return {bytes, isWhole, isVerified: digest !== null};
}
