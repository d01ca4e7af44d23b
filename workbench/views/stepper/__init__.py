"""The stepper: one sleep, pass by pass."""
