"use strict";
// Whatever a key or a field contains is shown as text: nothing here makes markup of a string.

const ROOT = new URL(".", location.href);
const SECONDS = Number(new URLSearchParams(location.search).get("poll")) || 60;
const POLL = Math.min(Math.max(SECONDS, 0.05), 86400) * 1000;  // a longer wait would be none
const TALLEST = 8e6;            // pixels; browsers draw nothing beyond some ten millions
const OVERSCAN = 8;             // rows drawn above and below what is seen
const MOST_FACETS = 6, MOST_FACET_VALUES = 12;
const MOST_BYTES = {image: 32e6, media: 64e6, table: 2e6, map: 16e6, json: 256e3, text: 256e3};
const MOST_ABOUT_BYTES = 65536, MOST_ABOUT_TEXT = 4000;
const ABOUT_FILE = /^(README|LICENSE)(\.(md|rst|txt))?$|^CITATION\.cff$/;  // no other name is a link
const MOST_ROWS = 200, MOST_COLUMNS = 50, MOST_FEATURES = 5000, MOST_SERIES = 8;
const COLUMNS = [
  {field: "key", label: "Key", width: "minmax(0, 5fr)", text: entry => entry.key},
  {field: "title", label: "Title", width: "minmax(0, 5fr)", text: entry => textOf(entry.metadata.title)},
  {field: "type", label: "Type", width: "minmax(0, 1.4fr)", text: entry => textOf(entry.metadata.type)},
  {field: "size", label: "Size", width: "5.5rem", text: entry => isSize(entry.metadata.size) ? sizeText(entry.metadata.size) : ""},
  {field: "modified", label: "Modified", width: "6rem", text: entry => dateText(entry.metadata.modified)},
];

const page = Object.fromEntries([...document.querySelectorAll("[id]")].map(found => [found.id, found]));
const state = {
  held: {sha256: null, validator: null, head: null},   // which index this is
  entries: [], left: 0,                                // in sorted order; how many were left out
  shown: [], facets: [], fresh: new Set(),
  sort: {field: "key", falling: false},
  selected: null, rowHeight: 36, preview: null,
  about: null,                                         // the digest of the site's own words
};
