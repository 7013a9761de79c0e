"""Policy distillation as independent pieces: who acts, what is matched, toward which target, measured and weighted how.

At states that a driver visits, a quantity of the student is pulled toward a target built from teachers. All policies
are batches of diagonal Gaussians. Every module is pure torch and knows neither environments nor networks; the axes of
``config.DistillationConfig`` choose among them. "Adapted" in a docstring marks a form for continuous actions that is
this project's own and not the cited paper's.
"""
