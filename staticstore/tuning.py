"""Numbers that were chosen by measurement, in one place, floor by floor.

Each comment says what the number trades, and which subject of ``benchmarks`` shows it.
Formats, limits on what a host may send, and defaults of public options are not here:
they stand where they are used.  Use these as ``tuning.NAME``, read at each use, so that
a test or a simulation can replace them; a loop over entries binds them to a local first.
"""

import os

# ---- Ground floor

# A command keeps the objects of a large site until it ends.  Larger: fewer searches for
# cycles, which take a tenth of the time at Python's default.  benchmark: publish-small
COLLECTION_ALLOCATIONS = 100_000
# How long a fork waits for TLS handshakes.  One that takes longer waits for its host, and
# holds no lock then.  Shorter: on a busy machine a child may inherit a lock that is held.
FORK_PATIENCE_SECONDS = 5.0
# For so long a wait may overlook a signal, such as Ctrl-C.  Longer: fewer idle wake-ups.
SIGNAL_SECONDS = 0.25

# ---- Disk

# A value that is read whole is held in memory up to this size, and beyond it on the disk.
IN_MEMORY_BYTES = 1 << 23
FILE_PIECE_BYTES = 1 << 20  # read or copied at once.  Larger: fewer calls, more memory
# From so many files on, `syncfs` is faster than an `fsync` for each, although it waits for
# the files of other processes, too.  benchmark: mirror
SYNCFS_FILES = 64
# A document that takes less time, or has fewer bytes, is fetched again faster than written.
KEPT_DOCUMENT_SECONDS = 0.5
KEPT_DOCUMENT_BYTES = 1 << 15

# ---- Index

# Text of a piece, about.  Smaller: decoding one keeps other threads waiting for less time;
# larger: fewer objects.  benchmark: waits, connect
INDEX_PIECE_BYTES = 1 << 14
# Up to this size, checking a whole index takes no noticeable time.  benchmark: connect, whole
CHECKED_AT_ONCE_BYTES = 1 << 20
# Read at once from an unchecked index, and decoded at once from one in another form.  More:
# fewer calls; fewer: other threads wait less.  benchmark: waits, parsing
UNCHECKED_BATCH_ENTRIES = 256
DECODED_BATCH_ENTRIES = 64
DECODED_SINGLY_ENTRIES = 16  # of a piece; for more of them, the whole piece is decoded
FOUND_ENTRIES = 4096  # kept for look-ups of the same keys.  More: more memory
# Texts are compared in steps: short after a difference, then longer.  A difference is
# narrowed down by bisection, then to a line.  benchmark: whole
COMPARED_LEAST_BYTES = 1 << 9
COMPARED_MOST_BYTES = 1 << 18
COMPARED_NARROW_BYTES = 1 << 6
# Changes are laid over an index of at least so many entries for each, else folded into it.
# Fewer: look-ups in two places; more: more writing.  benchmark: changes, query one in five
OVERLAY_ENTRIES_PER_CHANGE = 100
# With fewer keys for each change, looking at all keys costs less than a search for each
# change.  benchmark: query one in five
SEARCHED_KEYS_PER_CHANGE = 50
# To find which of some keys another member of a view has, this many of its keys are walked
# through for each before they are looked up.  More: faster if many are found, slower if few.
# As many keys together: more takes longer until the first.  benchmark: query of a view
WALKED_KEYS = 64
SHOWN_BATCH_KEYS = 1024
# Of all indexes of fields.  Larger: more memory, fewer are built again.  benchmark: first query
FIELD_INDEXES_BYTES = 512 << 20
# A growing dictionary keeps other threads waiting while it is copied: several small ones
# wait less.  benchmark: waits
FIELD_INDEX_SHARDS = 8
# Of a column, the values of a field in order: put into their buckets at once, and the least
# in a bucket.  Fewer: other threads wait less, more objects.  benchmark: first range, waits
COLUMN_RUN_ENTRIES = 1 << 12
BUCKET_ENTRIES = 1 << 4
PASSED_OVER_ENTRIES = 1 << 10  # longer tuples are shown to the garbage collector at once
# Of a bucket, positions that are sorted beforehand.  More: less is left to sort, except at both
# ends of a range.
# benchmark: range one in a thousand
SORTED_RANKS = 1 << 7
# Of a column, sorted to find the bounds of the buckets.  More: buckets of more even size.
SAMPLED_VALUES = 1 << 12
# Up to so many distinct texts of a column are shared by entries.  benchmark: first range
SHARED_TEXTS = 1 << 14
# Positions of at least this part of the entries are found by marks rather than by sorting.
# benchmark: range one in five
MARKED_PART = 1 / 32
# Boxes are cut into slices by west: their square root by this.  Less: more slices, in which
# fewer boxes have to be looked at.  benchmark: box
SLICE_DIVISOR = 3
SLICE_ENTRIES = 1 << 12  # sorted at once.  Fewer: other threads wait less.  benchmark: waits
# So many boxes are in a tree, where shapely is installed.  Fewer: it is imported for little.
# benchmark: box
BOX_TREE_ENTRIES = 1 << 16
# Leaves of the tree, at most, as long as they have at least so many boxes.  More leaves: fewer
# boxes are looked at, and other threads wait longer while it is built.  benchmark: box
BOX_LEAVES = 1 << 13
BOX_LEAF_ENTRIES = 1 << 6
BOX_TREE_STEP_LEAVES = 1 << 10  # made or read at once.  Fewer: other threads wait less
# Of all keys, held in one tuple, and chosen by marks at once.  Fewer: other threads wait less;
# more: fewer tuples.
# benchmark: waits of predicates, range one in a thousand
MARKED_KEYS = 1 << 17
RUN_KEYS = 1 << 12  # intersected at once.  Fewer: other threads wait less.  benchmark: waits

# ---- Transport: one request

RECEIVE_BUFFER_BYTES = 1 << 16  # asked of the kernel at once, even if the caller wants fewer
# Of a document, read or decoded at once.  Larger: fewer calls, more memory.  benchmark: connect
DOCUMENT_PIECE_BYTES = 1 << 20
USED_UP_BYTES = 1 << 16  # a longer body costs more to read to its end than a new connection
IDLE_CONNECTIONS = 32  # to one host.  Fewer: threads connect again.  benchmark: many-far
# Pauses before the first retry and before any, at most; each is random.  Longer: less load on
# a host that fails.  If it wants a longer rest than the last, there is no retry.
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 30.0
LONGEST_RETRY_AFTER_SECONDS = 120.0
NO_RANGES_SECONDS = 300.0  # after a refused range.  Shorter: more requests for nothing
FAILED_ROOT_SECONDS = 30.0  # after a failure, when other roots are asked first
RECEIVES_A_SECOND = 16  # at a limited rate: many short waits instead of a few long ones
# Hosts close a connection from which nothing is taken for long, nginx after a minute: below
# this share of a limited rate, more connections gain nothing.
CONNECTION_BYTES_A_SECOND = 1 << 16

# ---- Transport: many requests

# From a host nearby, one thread reads the most, and libcurl needs few connections.  A host that
# is far away is waited for anyway: each slow answer adds one.  benchmark: many, many-far
MANY_THREADS = 24
CURL_FIRST_CONNECTIONS = 24
CURL_CONNECTIONS = 64  # more: less waiting for a far host, more load on it.  benchmark: many-far
FAR_SECONDS = 2e-3
STALL_SECONDS = 5e-3  # without an answer: then twice as many connections.  benchmark: zarr-far-64
LONG_BODY_BYTES = 1 << 17  # takes that long from any host, which may limit each connection
CURL_BUFFER_BYTES = 1 << 18  # received at once, of what has no room of its own.  benchmark: many
# A document that has more bytes, as sent, is requested by itself: its deadline grows while it
# is received.  Larger: more memory, since eight are under way.  benchmark: stac-catalog
CARRIED_DOCUMENT_BYTES = 1 << 20
# Memory for a body of up to so many bytes is taken whole, at first.  A larger one may be nothing
# but a claim.  benchmark: zarr-large
ROOM_MADE_BYTES = 1 << 22
# That an answer waits for others which come at the same time.  benchmark: zarr-10
GATHERED_SECONDS = 3e-4
CURL_WAIT_SECONDS = 1.0  # for sockets, and the next request, at most.  Longer: fewer wake-ups
BUNCH_SECONDS = 0.01  # for others after the awaited answer: threads that take turns are slow
CARRIER_JOIN_SECONDS = 0.5  # that the exit of the interpreter waits for libcurl

# ---- Transport: one value

# Read from a connection at once: so many that the cost of a call does not count.
# benchmark: stream, verified, file
VALUE_PIECE_BYTES = 1 << 20
VALUE_PIECE_SECONDS = 0.5  # a piece is passed on as far as it has come by then
STREAM_BUFFER_BYTES = 1 << 16  # read ahead for short reads.  Larger: fewer calls, more memory
STREAM_PROGRESS_BYTES = 1 << 20  # after so many, broken connections are counted anew
# From a host that ignores ranges, a value up to this size is read whole and verified before
# a part of it is returned: the rest arrives before another request would.
VERIFIED_FIRST_BYTES = 1 << 20
HASHED_UNTHREADED_BYTES = 1 << 20  # fewer are hashed faster than a thread starts
# A few buffers are reused: fresh memory costs more than a copy.  benchmark: verified
HASH_BUFFER_BYTES = 1 << 19
HASH_BUFFERS = 4
COUNTED_BYTES = 1 << 16  # split into lines at once.  Larger: more memory.  benchmark: connect
RESUMABLE_BYTES = 1 << 20  # a smaller value is fetched again faster than it is resumed
# A smaller value is written faster by the system, together with others.
# benchmark: mirror-large
DIRECT_BYTES = 1 << 24
# The least that a short read fetches.  Larger: fewer requests, more bytes.  benchmark: column
READ_BLOCK_BYTES = 1 << 15
# Each read that continues the last request doubles the next one, up to this: so no more is
# fetched for nothing than was read.  benchmark: sequential
READ_AHEAD_BYTES = 1 << 26
READ_AHEAD_AFTER_ONE_BYTES = 1 << 22  # one long read does not mean that another one follows
CACHED_PART_BYTES = 1 << 18  # longer parts are streamed past the cache.  benchmark: sequential
# A part that is read by a compressed copy must save so many bytes for the request of the seek
# table, which a session asks for once.  Smaller: more waits.  benchmark: compressed
SEEK_TABLE_COST_BYTES = 1 << 17
# After so many failures in a row, or after one of the same copy, values are read themselves for a
# time.  Fewer: a single bad copy stops all; more: more requests for nothing
COPY_FAILURES = 3
FAILED_COPIES_ENTRIES = 1 << 10  # remembered
NO_COPIES_SECONDS = 300.0
SEEK_TABLES_BYTES = 1 << 22  # of tables, kept.  More: fewer requests, more memory
# A value that is opened is read by a copy of at most this part of its bytes: short reads then
# fetch a frame in place of a block.  benchmark: compressed
COMPRESSED_OPEN_PART = 1 / 2
RANGE_AT_ONCE_BYTES = 1 << 23  # longer ranges are streamed one by one: less memory

# ---- Client: many values

# Fetched together.  Two windows are in memory: one that is being yielded, and the next.
# Larger: fewer waits for the slowest, more memory.  benchmark: many, many-far
WINDOW_KEYS = 2048
WINDOW_BYTES = 1 << 24
REQUEST_COST_BYTES = 1 << 12  # of a value take about as long as a request.  benchmark: many
LARGE_VALUE_BYTES = 1 << 20  # a larger value is read by itself
# The gap is so small that the gaps between all values of a window take no more than the
# values.  benchmark: many, many-far
PACK_GAP_BYTES = 1 << 13
PACK_STRETCH_BYTES = 1 << 22
CAREFUL_THREADS = 16  # for values read singly, with retries.  More: more load on a sick host
TAKEN_AT_ONCE_BYTES = 1 << 14  # larger answers are verified by threads.  benchmark: async-large
# More than processors hold up the thread that receives.  benchmark: zarr-large
VERIFY_THREADS = min(os.cpu_count() or 1, 4)
OPEN_AHEAD_STREAMS = 8  # of `multiget_data`.  More: less waiting, more open connections
# Large values are read in parts by many connections, since hosts may limit each; read ahead
# is a part for each.  Larger parts: fewer requests, more memory.  benchmark: mirror-large
LARGE_CONNECTIONS = 24
LARGE_PART_BYTES = 1 << 22
LARGE_AHEAD_BYTES = LARGE_CONNECTIONS * LARGE_PART_BYTES
# A request fails within this time if the host has closed an idle connection: it is repeated.
PROMPT_FAILURE_SECONDS = 1.0

# ---- Client: subscriptions

# With more subscriptions times changes, conditions are asked of many changes at once, by
# indexes of their fields.  benchmark: subscriptions
MATCHED_SINGLY_CHANGES = 256
MATCHED_TOGETHER_CHANGES = 1 << 10  # More: more decoded entries in memory

# ---- Client: following a site

# Blocks are used if all that is fetched is less than this part of the index.  A smaller
# index is fetched whole: one request in place of three or more.  benchmark: blocks
BLOCKS_WORTHWHILE_PART = 1 / 2
BLOCKS_WORTHWHILE_BYTES = 1 << 18
HASHED_BATCH_BLOCKS = 256  # that one thread hashes before it takes the next.  benchmark: blocks
HASHING_THREADS = 2  # of them; hashing releases the interpreter lock.  benchmark: blocks
HASHED_INDEX_BYTES = 1 << 20  # without a sum, hashed after changes: that takes a millisecond
# An index is not checked in the first moments after a swap, which its readers wait for; then
# between steps of 0.1 ms: a million entries take 15 seconds.  benchmark: waits, window-poll
CHECK_DELAY_SECONDS = 1.0
CHECK_PAUSE_SECONDS = 0.001
# Where a pause takes so much longer, other threads are busy: the next one is long.
CHECK_BUSY_SECONDS = 0.003
CHECK_LONG_PAUSE_SECONDS = 0.01
# An index up to this size is written to the cache at once, a larger one by the poller.
# benchmark: connect-again
CACHED_AT_ONCE_ENTRIES = 10_000
SLOW_LINE_BYTES_A_SECOND = 1 << 15  # of an index.  Lower: a line that is dead is waited for longer
CONNECT_PATIENCE_SECONDS = 10.0  # with an old index.  Longer: newer at first, but later
FIRST_ROOT_PATIENCE_SECONDS = 10.0  # without an index; then the copies are asked
EQUAL_ROOTS_PATIENCE_SECONDS = 1.0  # after one answer.  Longer: newer, but later
LISTED_ENTRIES = 1 << 17  # of directories that were listed, kept.  benchmark: file-system
PARTS_MEMORY_BYTES = 16 << 20  # of parsed parts.  Larger: fewer requests of a lazy store
CUT_CHECK_SECONDS = 0.2  # between two checks for a disconnect.  Longer: fewer wake-ups
POLLER_JOIN_SECONDS = 0.5  # that `disconnect` waits for the poller, and then abandons it
FIRST_POLL_RETRY_SECONDS = 5.0  # between polls of a store that has not reached its host yet
LONGEST_POLL_BACKOFF_SECONDS = 3600.0  # between polls of a host that fails
CLOCK_CHECK_SECONDS = 15.0  # between two checks whether the machine slept; as above
LONGEST_WAKE_SECONDS = 10.0  # over which readers that wake together spread their polls
# nginx, Apache and Caddy make validators of size and whole seconds, and miss a change within
# the same second: now and then a request is sent without conditions.  benchmark: nothing
UNCONDITIONAL_EVERY_REQUESTS = 24

# ---- Formats: indexes that others publish

# Of a conda channel: in larger documents, other threads have their turn at each package, which
# takes longer.  Larger: they wait for longer.  benchmark: conda
CONDA_PATIENT_BYTES = 1 << 25
CONDA_BATCH_ENTRIES = 1 << 8  # whose digests are looked at together.  benchmark: conda

# ---- Index: tables

# Of lines that are decoded together: at 64 KiB another thread waits less than a millisecond; and of
# lines that Arrow reads together.  Larger: more memory.  benchmark: to_arrow
TABLE_SLICE_BYTES = 1 << 16
TABLE_BATCH_BYTES = 1 << 21
TABLE_BLOCK_BYTES = 1 << 20  # each by a thread of its own
# Batches in which the types of the columns are looked for first, and how often other entries may
# turn out to have other types before all are looked at.  benchmark: to_arrow
TABLE_SAMPLED_BATCHES = 64
TABLE_ATTEMPTS = 4
TABLE_GROUP_ROWS = 100_000  # of a Parquet file.  Fewer: readers skip more, and ask more often

# ---- Client: pickles

# What is unpickled in turn, as by the tasks of a cluster, shares connections and the index for
# so long after it was last asked for.  Longer: more pauses are bridged, memory is held longer.
SHARED_SITE_SECONDS = 30.0
# A store that is unpickled so soon after the last poll does not ask the host again.  Longer:
# fewer requests, older snapshots.  benchmark: tasks
SHARED_INDEX_SECONDS = 5.0

# A bag of Dask has so many partitions, so that each of many workers has several, unless they
# would be smaller or larger than this.  Smaller: more requests; larger: more memory.
# benchmark: tasks
BAG_PARTS = 100
BAG_LEAST_BYTES = 1 << 20
BAG_MOST_BYTES = 64 << 20

# ---- Client: cache

CACHE_PIECE_BYTES = 1 << 20  # smaller: writing an index can be given up sooner
CACHE_IN_MEMORY_BYTES = 1 << 20  # a larger value is opened as a file, which stays open
CACHE_TOUCH_SECONDS = 3600.0  # resolution of the time of the last use.  Larger: fewer writes
CACHE_CHECK_SECONDS = 1.0  # between two checks of a folder's owner.  Longer: fewer calls
CACHE_PAUSE_SECONDS = 60.0  # without writing, after a failure
# For the state of a signed site, which takes a millisecond to write.
TRUST_LOCK_SECONDS = 2.0

# ---- Site

# Of a file that is hashed, read at once.  benchmark: publish-large
HASHED_PIECE_BYTES = 1 << 20
# A larger file is hashed by itself; smaller ones are taken together by a thread or process.
# benchmark: publish-small, publish-large
HASHED_SINGLY_BYTES = 1 << 16
HASHED_BATCH_FILES = 512
FILES_PER_PROCESS = 4_000  # that a thread hashes while one starts.  benchmark: publish-small
HASH_WORKERS = 8  # more read no faster from one disk.  benchmark: publish-large
WAIT_SECONDS = 0.5  # Windows cannot interrupt a wait, so it is cut into short ones
# Of small values, fetched together: the first is small, since a run may be killed soon.
# benchmark: mirror
MIRROR_BATCH_BYTES = 1 << 24
MIRROR_FIRST_BATCH_BYTES = 1 << 18
# A larger value is written while it is received, by a thread of its own.  benchmark: mirror-large
MIRROR_SMALL_BYTES = 1 << 20
MIRROR_FAILURES = 32  # in a row; then the host counts as unreachable, and the run ends
SURVEY_BATCH_FILES = 1024  # compared with notes at once.  More: more memory
# Of so many entries, at most so many may differ for the indexes to be compared: each difference
# costs as much as looking at ten entries.  benchmark: mirror-again
MIRROR_SAMPLED_ENTRIES = 32
MIRROR_COMPARED_ENTRIES = 4
# File systems write together what is synced together.  benchmark: mirror
SYNC_BATCH_FILES = 1024
SYNC_THREADS = 8
# Between two notes of progress at the target, on which at most 1/20 of the time is spent.
# More often: less is uploaded again after a break.
PUSH_NOTE_SECONDS = 10.0
PUSH_NOTE_FACTOR = 20
PUSH_PIECE_BYTES = 1 << 20  # read at once from a file.  Larger: fewer calls, more memory
CLOUD_PART_BYTES = 8 << 20  # a larger file is sent in parts, one request for each
CLOUD_PARALLEL_PARTS = 4  # of one file.  More: faster over a slow line, more memory
# How long a request to a cloud may take to connect, and in all; and how it is repeated.
CLOUD_CONNECT_SECONDS = 5
CLOUD_REQUEST_SECONDS = 120
CLOUD_RETRIES = 4
CLOUD_RETRY_SECONDS = 60
# Of a publish that goes on from another site: retries, and how long a document may take.
PREDECESSOR_RETRIES = 2
PREDECESSOR_DOCUMENT_SECONDS = 300.0
# A publish in which no larger part of the files has changed writes only their lines anew.
# Larger: one that is slower than writing all of them.  benchmark: publish-changed
UPDATED_MOST_PART = 1 / 8
# Of Zstandard.  Higher: slower to publish, a little shorter.  benchmark: compressed
COMPRESSION_LEVEL = 9
DIGESTED_ROWS = 4096  # of a mapping of metadata, together: more take more memory
SERVED_PIECE_BYTES = 1 << 18  # larger: fewer calls, more memory for each connection
SERVER_POLL_SECONDS = 0.05  # between two checks whether to stop.  Longer: fewer wake-ups
SERVER_CLOSE_SECONDS = 1.0  # how long connections may take to end
WATCH_QUIET_SECONDS = 0.5  # without a change, before a publish.  Shorter: half-written files
WATCH_LONGEST_SECONDS = 5.0  # of constant change, before a publish
WATCH_RETRY_SECONDS = 10.0  # after a publish that failed
WATCH_TICK_SECONDS = 0.1  # between two checks for changes
WATCH_STOP_SECONDS = 0.1  # between two checks whether to stop

# ---- Windows

# How long a window's thread may work before its event loop has a turn: less than half a
# frame.  benchmark: window-poll
SLICE_SECONDS = 0.005
TK_POLL_MILLISECONDS = 50  # as in IDLE: it costs no visible time
FRAME_MILLISECONDS = 40  # between two repaints of rows that glow.  Shorter: smoother, more work

# ---- Command line

BAR_DELAY_SECONDS = 1.0  # of an index.  Shorter: bars that vanish at once, a flicker
SUGGESTING_KEYS = 10_000  # in a larger index, no similar key is searched for
COMPLETED_INDEX_KEYS = (
    50_000  # offered by IPython.  More: it waits for more than a tenth of a second
)
COMPLETED_INDEX_BYTES = 1 << 26  # of whose keys a shell offers some.  More: Tab takes seconds
COMPLETED_KEYS = 1_000  # offered by a shell at once.  More: nobody reads them
SAMPLED_ENTRIES = 1_000  # in which fields are searched for.  More: rare fields, a slower Tab
