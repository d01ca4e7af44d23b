"""Instruments: a recorded trace, or a model at a boundary, in; an xarray Dataset out.

One module each. Imports the traces' floor and below; knows no experiment, figure or view.
"""
