"""What a site says.  Pure: no network, no disk, no clock, no thread."""
