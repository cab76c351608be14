"""The made-up island of Ilvar: how its maps, lines and measurements come about.

    grid     where the island lies, in whole numbers
    noise    chance that is the same on every machine
    flow     where water runs
    terrain  the land itself: ground, sea floor, lakes
    cover    what can be seen of the land: slope, light, land cover
    outline  lines along which a grid has one value
    rivers   streams, and lakes as polygons
    places   settlements and the trails between them
    weather  stations, and a year of measurements at them
    pictures what is drawn for the eye
    png, geotiff, geojson, tables, toml    how each kind of file is written
    values   all of it: every key with its bytes and its metadata

Only whole numbers are used on the way, so that the last bit of a machine's
floating point and the version of a library are never seen in the files.
"""
