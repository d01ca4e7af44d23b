"""Parts of a memory, contexts to exchange, and what a change of S does to the answers."""
