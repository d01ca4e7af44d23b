"""A sleep under a cursor: what the pages that follow one share."""
