"""Signatures of a site: keys, what they sign, and how they are replaced.

What the documents are is explained in `staticstore.trust`.  Here is what makes them:

- `key_folder`: a publisher's private keys and root documents, with `publisher_key` (one key,
  in a file or elsewhere) and `passphrases`.
- `new_keys` is ``keys new``: it makes keys, and the first root document.
- `site_chain`: the root documents of the key folder, and the newer ones of the site.
- `new_document`: the version, the end and the signatures of a document.
- `head_signer` is ``publish --sign``: it signs a head, by targets, snapshot and timestamp.
- `renewal` is ``renew``: a new timestamp for what is signed already.
- `rotation` is ``keys rotate``: a new root document, and what follows from it.
- `check` is ``publish --check``: it verifies what is there.
"""
