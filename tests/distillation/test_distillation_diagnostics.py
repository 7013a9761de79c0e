"""Numbers about distillation against cases with known values."""

import pytest
import torch

from legged_cts.distillation.diagnostics import calibration, divergence_by_driver, gradient_cosines
from legged_cts.distillation.gaussians import DiagonalGaussian


def test_divergence_by_driver():
    acts = torch.tensor([[True, False], [False, False]])
    found = divergence_by_driver(torch.tensor([[1.0, 2.0], [3.0, 7.0]]), acts)
    assert found == {"student_states": 4.0, "teacher_states": 1.0}
    assert divergence_by_driver(torch.ones(3), torch.zeros(3, dtype=torch.bool)) == {"student_states": 1.0}


def test_calibration_is_one_where_the_std_covers_the_residual():
    # gaps of 3 and a teacher's std of 4 leave a residual of 5 in the first dimension; the second one has no gap
    teacher = DiagonalGaussian(torch.tensor([[3.0, 1.0], [-3.0, 2.0]]), torch.tensor([[4.0, 1.0], [4.0, 1.0]]))
    student = DiagonalGaussian(torch.tensor([[0.0, 1.0], [0.0, 2.0]]), torch.tensor([[5.0, 0.5], [5.0, 0.5]]))
    torch.testing.assert_close(calibration(student, teacher), torch.tensor([1.0, 0.5]))


def test_gradient_cosines_by_the_sign_of_the_advantage():
    w = torch.nn.Parameter(torch.zeros(2))
    distillation = torch.stack([w[0], w[0], w[1]])
    surrogate = torch.stack([w[0] + w[1], -w[0], 2 * w[1]])
    found = gradient_cosines(distillation, surrogate, torch.tensor([-1.0, -2.0, 3.0]), [w])
    assert found["negative"] == pytest.approx(0.0, abs=1e-6)  # (2, 0) against (0, 1)
    assert found["positive"] == pytest.approx(1.0)
    assert found["all"] == pytest.approx(3 / (5**0.5 * 3))  # (2, 1) against (0, 3)


def test_gradient_cosine_without_a_gradient_or_a_sample():
    w, other = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))
    found = gradient_cosines(w * torch.ones(2), other * torch.ones(2), torch.tensor([1.0, 2.0]), [w])
    assert found == {"all": 0.0, "positive": 0.0}
