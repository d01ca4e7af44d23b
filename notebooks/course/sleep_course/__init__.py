"""The course: what the notebooks call to compute, draw and train, and the checks of exercises.

Cells only wire; whatever computes, draws or judges lives here, where it is tested. One module
for each lesson, `exercises` with its checks, and `live` for runs that train while a notebook is
read. May import anything of `workbench`, which imports nothing of this.
"""
