// ---- maps ----

function* shapesOf(node, name = "") {
  if (!isObject(node)) return;
  if (node.type === "FeatureCollection") for (const one of node.features ?? []) yield* shapesOf(one);
  else if (node.type === "GeometryCollection") for (const one of node.geometries ?? []) yield* shapesOf(one, name);
  else if (node.type === "Feature") yield* shapesOf(node.geometry, textOf(node.properties?.name ?? node.properties?.title ?? node.id));
  else if (Array.isArray(node.coordinates)) yield {type: String(node.type), coordinates: node.coordinates, name};
}

function isPosition(list) { return Number.isFinite(list[0]) && Number.isFinite(list[1]); }

function linesOf(coordinates) {  // the lowest lists of positions, however deep
  if (isPosition(coordinates)) return [[coordinates]];
  const lists = coordinates.filter(Array.isArray);
  return lists.some(isPosition) ? [lists.filter(isPosition)] : lists.flatMap(linesOf);
}

function mapOf(bytes, {isWhole, width}) {
  if (!isWhole) return [note("It is too large for a preview.")];
  const all = [...shapesOf(JSON.parse(readText(bytes, true)))];
  const shapes = all.slice(0, MOST_FEATURES).map(shape => ({...shape, lines: linesOf(shape.coordinates)}));
  const positions = shapes.flatMap(({lines}) => lines.flat());
  if (!positions.length) return [note("It has no geometry.")];
  const [west, east] = extent(positions.map(([x]) => x)), [south, north] = extent(positions.map(([, y]) => y));
  const isGeographic = west >= -180 && east <= 180 && south >= -90 && north <= 90;
  const squeeze = isGeographic ? Math.max(0.05, Math.cos((south + north) / 2 * Math.PI / 180)) : 1;
  const margin = 12, room = width - 2 * margin;
  const scale = Math.min(room / ((east - west) * squeeze || 1e-9), room / (north - south || 1e-9), room * 1e4);
  const height = Math.max(80, (north - south) * scale + 2 * margin);
  const inset = (width - (east - west) * squeeze * scale) / 2;
  const pointOf = ([x, y]) => `${(inset + (x - west) * squeeze * scale).toFixed(1)} ${(margin + (north - y) * scale).toFixed(1)}`;
  const kinds = {Polygon: "area", MultiPolygon: "area", LineString: "line", MultiLineString: "line"};
  const paths = shapes.map(({type, lines, name}) => {
    const kind = kinds[type] ?? "dot";
    const d = lines.map(line => kind === "dot" ? line.map(one => `M${pointOf(one)}h0`).join("")
      : `M${line.map(pointOf).join("L")}${kind === "area" ? "Z" : ""}`).join("");
    return drawing("path", {class: kind, d}, ...(name ? [drawing("title", {}, name)] : []));
  });
  const picture = drawing("svg", {viewBox: `0 0 ${width} ${height.toFixed(1)}`, role: "img", "aria-label": "Map"}, ...paths);
  const digits = value => value.toLocaleString("en", {maximumFractionDigits: 4});
  const more = all.length > shapes.length ? `, the first ${shapes.length} drawn` : "";
  return [picture, note(`${countText(all.length, "shape", "shapes")}${more} · ${digits(west)} to ${digits(east)}, ${digits(south)} to ${digits(north)}`)];
}
