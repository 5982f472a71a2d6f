"""The planner and the state machine, without servers."""
