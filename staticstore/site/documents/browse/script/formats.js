// ---- files that browsers cannot show: what their metadata says, and what opens them ----

const FORMATS = [               // the ending of the key or the media type, the import, and the line
  {name: "TIFF", ending: /\.tiff?$/i, type: /^image\/tiff\b/, module: "tifffile", line: "image = tifffile.imread(file)"},
  {name: "Parquet", ending: /\.(parquet|pq)$/i, type: /parquet$/, module: "pyarrow.parquet", line: "table = pyarrow.parquet.read_table(file)"},
  {name: "netCDF", ending: /\.nc4?$/i, type: /netcdf$/, module: "xarray", line: "data = xarray.open_dataset(file, engine=\"h5netcdf\").load()"},
  {name: "HDF5", ending: /\.(h5|hdf5?|he5)$/i, type: /hdf5?$/, module: "h5py", line: "print(list(h5py.File(file)))"},
  {name: "NumPy", ending: /\.npy$/i, type: /^$/, module: "numpy", line: "array = numpy.load(file)"},
  {name: "ZIP", ending: /\.zip$/i, type: /^application\/zip$/, module: "zipfile", line: "print(zipfile.ZipFile(file).namelist())"},
  {name: "gzip", ending: /\.gz$/i, type: /^application\/gzip$/, module: "gzip", line: "data = gzip.open(file).read()"},
];
const TELLING = ["crs", "bbox", "shape", "width", "height", "bands", "dtype", "nodata", "resolution", "units", "variables",
  "dimensions", "coordinates", "columns", "rows", "time", "start", "end", "chunks", "compression"];

function pythonText(text) { return JSON.stringify(text); }  // JSON's escapes are Python's

function zarrOf(key) {          // the group or array to which a file belongs
  return /^.*?\.zarr(?=\/)/.exec(key)?.[0] ?? /^(.*)\/(zarr\.json|\.z(group|array|attrs|metadata))$/.exec(key)?.[1] ?? null;
}

function formatOf({key, metadata}) {  // its name, and the Python that opens it; null if it is none of them
  const zarr = zarrOf(key);
  if (zarr) return {name: "Zarr", code: `import zarr\n\ndata = zarr.open(${pythonText(urlOf(zarr))}, mode="r")`};
  const type = typeof metadata.media_type === "string" ? metadata.media_type.split(";")[0].trim().toLowerCase() : "";
  const format = FORMATS.find(({ending}) => ending.test(key)) ?? (type ? FORMATS.find(one => one.type.test(type)) : undefined);
  if (!format) return null;
  const path = document.body.dataset.path;
  const root = pythonText(ROOT.href) + (path === "data/" ? "" : `, data_path=${pythonText(path)}`);
  const opened = `store = StaticStore(${root}).connect()\nwith store.open(${pythonText(key)}) as file:\n    ${format.line}`;
  return {name: format.name, code: `import ${format.module}\nfrom staticstore import StaticStore\n\n${opened}`};
}

function factText(value) {
  if (Array.isArray(value) && value.every(one => typeof one !== "object")) return value.join(", ");
  return isObject(value) ? Object.entries(value).map(([name, one]) => `${name}: ${textOf(one)}`).join("\n") : textOf(value);
}

function describe({metadata}, {name, code}) {  // the elements, and the fields that need not be shown again
  const telling = TELLING.filter(field => Object.hasOwn(metadata, field));
  const rows = telling.map(field => element("tr", {},
    element("th", {scope: "row", textContent: field}), element("td", {textContent: factText(metadata[field])})));
  const table = rows.length ? [element("table", {className: "facts"}, element("tbody", {}, ...rows))] : [];
  const opened = [element("p", {className: "note", textContent: "To open it in Python:"}), element("pre", {textContent: code, tabIndex: 0})];
  return {telling, section: element("section", {className: "format", ariaLabel: name}, element("h3", {textContent: name}), ...table, ...opened)};
}
