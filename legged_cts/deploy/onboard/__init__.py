"""Brings a policy onto a robot: state machine, guards, the robots' wire formats, and a simulator that speaks them."""
