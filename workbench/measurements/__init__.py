"""What can be measured on a checkpoint: one file a measurement, in one record.

A record (`workbench.measurements.base.Measurement`) holds the settings, the run, the tables, the
figures and the words of a measurement, and is an entry point of ``sleep_workbench.measurements``.
The command line, the pages, the glossary and the documents follow from the table of all of them
(`workbench.measurements.catalogue`). Figures stand one floor below, so a record names them itself.
"""
