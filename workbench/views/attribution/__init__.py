"""The page of attribution: which pass, window or head an answer is owed to."""
