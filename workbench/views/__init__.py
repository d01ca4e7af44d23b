"""The pages of the dashboards, and their server.

Imports every floor below; apps import from here.
"""
