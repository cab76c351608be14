"""What may be noted of files, for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from staticstore.site.folder.data_file import FileDigest

DIGEST = "ab" * 32
_numbers = st.integers(0, (1 << 63) - 1)

#: Digests with the states of files.
digests = st.builds(
    FileDigest,
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    _numbers,
    st.integers(-(1 << 62), 1 << 62),
    _numbers,
)
