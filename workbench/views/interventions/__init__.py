"""The page of interventions: a memory is changed and the answers compared."""
