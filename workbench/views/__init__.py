"""Panel views: the cursor, the walk through a sleep, the stepper, the pages and their server.

`cursor`, `walk`, `catalogue`, `services` and `drawings` know no Panel and are tested as plain
Python; the others wire them to widgets. Imports every floor below; apps import from here.
"""
