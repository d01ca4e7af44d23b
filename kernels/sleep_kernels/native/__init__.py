"""The rules, and the layers next to them, in C++ compiled for this processor.

The sources are in this folder. They are compiled once a machine, into the user's cache folder
(`sleep_kernels.native.library`), and called through ctypes; no header of torch or Python is needed.
"""
