"""Signed sites: the signatures below ``trust/``, in the formats of TUF.

The Update Framework (https://theupdateframework.io) in one picture::

    root document       says which keys count; a new one is signed by the old keys, too
    timestamp           names the current snapshot;     signed by the renew key, for two weeks
    snapshot            names the current targets;      signed by the renew key
    targets             names the head, by its digest;  signed by the publish key
    head                names the index, which names the values, by their digests

Whoever can write to the host can forge none of them.  He can withhold new ones until the
timestamp expires, and show old ones to readers that have not seen newer ones: versions only
rise.  To replace a key takes a new root document, which readers ask for at each poll.

To learn how it is done here, read in this order:

- `layout`: the names of the files, their limits, and how long they hold.
- `documents`: what the documents say, as data; nothing of it is verified.
- `chain`: one document verified by another, for who has all files at hand and judges expiry
  himself: the publisher.
- `workflow`: the same for a reader, who asks a host and remembers what he has seen, by
  python-tuf's client.

`staticstore.site.signatures` makes the documents.  Readers are connected to `workflow` by
`staticstore.client.following.signatures`, which requests documents, and by
`staticstore.client.cache.trust_state`, which keeps what was seen.
"""
