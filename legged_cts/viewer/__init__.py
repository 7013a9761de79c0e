"""Shows a policy at work: in the browser, or in a video."""
