"""The memory page: what S holds and where it comes from."""
