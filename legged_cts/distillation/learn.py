"""Which side of a divergence takes the gradient."""

from __future__ import annotations

from legged_cts.distillation.gaussians import DiagonalGaussian
from legged_cts.distillation.names import LEARNERS


def stop_gradients(
    student: DiagonalGaussian, teacher: DiagonalGaussian, learn: str
) -> tuple[DiagonalGaussian, DiagonalGaussian]:
    """Detach the side that does not learn.

    ``both`` detaches neither: the gradient of D(S, T) is the sum of those of D(S, sg T) and D(sg S, T), the two
    penalties of pi-Distill at one coefficient. The teacher's part teaches it what can be followed.

    Raises:
        ValueError: If ``learn`` is not one of ``LEARNERS``.
    """
    if learn not in LEARNERS:
        raise ValueError(f"learn.gradient is '{learn}'; allowed are: {', '.join(LEARNERS)}")
    return (
        student.detach() if learn == "teacher" else student,
        teacher.detach() if learn == "student" else teacher,
    )
