"""Browser components and what every page needs; knows no model and no cursor."""
