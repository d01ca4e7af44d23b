"""The pages of the dashboards, and their server.

Modules that say so know no Panel and are tested as plain Python; the others wire them to widgets.
Imports every floor below; apps import from here.
"""
