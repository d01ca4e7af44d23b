"""The page of probes: what can be decoded from the memory."""
