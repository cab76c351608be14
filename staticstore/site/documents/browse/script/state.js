"use strict";
// Whatever a key or a field contains is shown as text: nothing here makes markup of a string.

const ROOT = new URL(".", location.href);
ROOT.username = ROOT.password = "";  // requests need none, and links would show them
const SECONDS = Number(new URLSearchParams(location.search).get("poll")) || 60;
const POLL = Math.min(Math.max(SECONDS, 5), 86400) * 1000;  // setTimeout takes a longer wait for none
const TALLEST = 8e6;            // pixels; browsers draw nothing beyond some ten millions
const OVERSCAN = 8;             // rows drawn above and below what is seen
const MOST_FACETS = 6, MOST_FACET_VALUES = 50, MOST_FACET_TEXT = 200;
const MOST_QUERY = 1000, MOST_TERMS = 50, MOST_ADDRESS = 16384, MOST_OPEN = 1000;  // characters, terms
const MOST_LEVELS = 32;         // of folders in folders; what is deeper stands in the last
const TYPING = 1000;            // milliseconds without a letter after which a search is settled
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
  shown: [], fresh: new Set(),                         // the entries that match, in order
  query: [], facets: [], chosen: new Map(),            // terms of the search; field → Set of values
  fields: new Map(),                                   // folded name → names of fields
  sort: {field: "key", falling: false},
  columns: [], rows: [], isTree: false,                // entries, and in the tree folders
  open: new Set(), shut: new Set(),                    // folders; those closed while a search is on
  cursor: null, selected: null,                        // the key of a row; of the value in the preview
  rowHeight: 36, preview: null,
  about: undefined,                                    // the digest of the site's own words, null without
};
