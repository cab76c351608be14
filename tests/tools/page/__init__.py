"""The page to browse a site, as Chromium shows it."""
