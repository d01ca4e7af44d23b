"""The lab: runs and sweeps are started, watched and compared."""
