"""The rules and what stands around them in C++, compiled for this very processor.

The sources lie in this folder. They are compiled once a machine, into a folder of the user's own
(`sleep_kernels.native.library`), and called through ctypes; no header of torch or Python is needed.
"""
