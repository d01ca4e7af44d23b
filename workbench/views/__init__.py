"""The pages of the dashboards, and their server.

`cursor.cursor`, `cursor.drawings`, `home.catalogue` and `site.services` know no
Panel and are tested as plain Python; the others wire them to widgets. Imports every floor below;
apps import from here.
"""
