// ---- where a value is: its bbox on the outline of the world ----

const DEGREE = 4;               // units of WORLD
const LEAST_PIXELS = 10;        // a smaller box gets a ring around it

function boxOf(bbox) {          // null if it is none in degrees; east may lie beyond 180
  const isBox = Array.isArray(bbox) && (bbox.length === 4 || bbox.length === 6) && bbox.every(Number.isFinite);
  if (!isBox) return null;
  const [west, south] = bbox, [east, north] = bbox.slice(bbox.length / 2);
  const isOutside = Math.max(Math.abs(west), Math.abs(east)) > 360 || Math.max(Math.abs(south), Math.abs(north)) > 90;
  const span = east < west ? east - west + 360 : Math.min(east - west, 360);
  if (isOutside || south > north || span < 0) return null;
  const start = span === 360 ? -180 : ((west + 180) % 360 + 360) % 360 - 180;
  return {west: start, south, east: start + span, north};
}

function placeOf({metadata}, width) {
  const box = boxOf(metadata.bbox);
  if (!box) return [];
  const {west, south, east, north} = box;
  const split = east > 180 ? [{...box, east: 180}, {...box, west: -180, east: east - 360}] : [box];
  const world = mapAround({west: -180, south: -90, east: 180, north: 90}, split, width, "On the map of the world");
  const near = Math.max(60, 4 * (east - west), 8 * (north - south));
  const x = (west + east) / 2, y = Math.max(-90 + near / 4, Math.min(90 - near / 4, (south + north) / 2));
  const around = {west: x - near / 2, south: y - near / 4, east: x + near / 2, north: y + near / 4};
  const maps = near > 150 ? [world] : [world, mapAround(around, [box], width, "The same, closer")];
  const text = (value, positive, negative) => `${Math.abs(value).toLocaleString("en", {maximumFractionDigits: 4})}°${value > 0 ? positive : value < 0 ? negative : ""}`;
  const wrapped = east > 180 ? east - 360 : east;
  const said = `bbox: ${text(west, " E", " W")} to ${text(wrapped, " E", " W")}, ${text(south, " N", " S")} to ${text(north, " N", " S")}`;
  return [element("figure", {className: "place"}, ...maps, note(said))];
}

function mapAround(view, boxes, width, label) {
  const xOf = longitude => (longitude + 180) * DEGREE, yOf = latitude => (90 - latitude) * DEGREE;
  const wide = (view.east - view.west) * DEGREE, high = (view.north - view.south) * DEGREE, pixel = wide / width;
  const turns = [-360, 0, 360].filter(turn => view.west < turn + 180 && view.east > turn - 180);
  const land = turns.map(turn => drawing("path", {class: "land", d: WORLD, transform: `translate(${turn * DEGREE})`}));
  const marks = boxes.flatMap(({west, south, east, north}) => {
    const [x, y, w, h] = [xOf(west), yOf(north), (east - west) * DEGREE, (north - south) * DEGREE];
    const least = Math.max(w, 1.5 * pixel), tall = Math.max(h, 1.5 * pixel);
    const drawn = [drawing("rect", {class: "area", x: x + (w - least) / 2, y: y + (h - tall) / 2, width: least, height: tall})];
    const isTiny = Math.max(w, h) < LEAST_PIXELS * pixel;
    return isTiny ? [...drawn, drawing("circle", {class: "ring", cx: x + w / 2, cy: y + h / 2, r: LEAST_PIXELS * pixel})] : drawn;
  });
  const viewBox = `${xOf(view.west)} ${yOf(view.north)} ${wide} ${high}`;
  return drawing("svg", {viewBox, role: "img", "aria-label": label, class: "world"}, ...land, ...marks);
}
