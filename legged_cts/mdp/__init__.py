"""Terms of the velocity task: actions, observations, rewards, terminations, events, curriculum and terrain."""
