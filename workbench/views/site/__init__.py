"""How pages are served: the table of pages, the server, who may ask it, sessions."""
