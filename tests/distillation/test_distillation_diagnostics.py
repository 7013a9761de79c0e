"""Numbers about distillation against cases with known values."""

import pytest
import torch

from legged_cts.distillation.diagnostics import by_driver, calibration, gradient_cosines
from legged_cts.distillation.gaussians import DiagonalGaussian

# gaps of 3 and a teacher's std of 4 leave a residual of 5 in the first dimension; the second one has no gap
TEACHER = DiagonalGaussian(torch.tensor([[3.0, 1.0], [-3.0, 2.0]]), torch.tensor([[4.0, 1.0], [4.0, 1.0]]))
STUDENT = DiagonalGaussian(torch.tensor([[0.0, 1.0], [0.0, 2.0]]), torch.tensor([[5.0, 0.5], [5.0, 0.5]]))


def plain(found):
    return {name.removeprefix("distillation/"): pytest.approx(value.item(), abs=1e-6) for name, value in found.items()}


def test_means_by_driver():
    teacher = DiagonalGaussian(torch.cat([TEACHER.mean, STUDENT.mean]), torch.ones(4, 2))
    student = DiagonalGaussian(STUDENT.mean.repeat(2, 1), torch.full((4, 2), 2.0))
    acts = torch.tensor([False, False, True, True])
    # Residual variances: 1 + 9 and 1 where the student drove, 1 and 1 where the teacher did.
    expected = {"divergence_student": 1.5, "calibration_student": (0.4**0.5 + 2.0) / 2, "divergence_teacher": 5.0,
                "calibration_teacher": 2.0}  # fmt: skip
    assert plain(by_driver(torch.tensor([1.0, 2.0, 3.0, 7.0]), student, teacher, acts)) == expected


def test_a_driver_without_states_is_left_out():
    found = by_driver(torch.ones(2), STUDENT, TEACHER, torch.zeros(2, dtype=torch.bool))
    assert plain(found) == {"divergence_student": 1.0, "calibration_student": 0.75}


def test_calibration_is_one_where_the_std_covers_the_residual():
    torch.testing.assert_close(calibration(STUDENT, TEACHER), torch.tensor([1.0, 0.5]))


def test_gradient_cosines_by_the_sign_of_the_advantage():
    w = torch.nn.Parameter(torch.zeros(2))
    distillation = torch.stack([w[0], w[0], w[1]])
    surrogate = torch.stack([w[0] + w[1], -w[0], 2 * w[1]])
    found = plain(gradient_cosines(distillation, surrogate, torch.tensor([-1.0, -2.0, 3.0]), [w]))
    assert found == {
        "cosine_negative": 0.0,  # (2, 0) against (0, 1)
        "cosine_positive": 1.0,
        "cosine_all": 3 / (5**0.5 * 3),  # (2, 1) against (0, 3)
    }
    assert w.grad is None


def test_gradient_cosine_without_a_gradient_or_a_sample():
    w, other = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))
    found = plain(gradient_cosines(w * torch.ones(2), other * torch.ones(2), torch.tensor([1.0, 2.0]), [w]))
    assert found == {"cosine_all": 0.0, "cosine_positive": 0.0}
