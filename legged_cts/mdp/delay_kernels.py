"""Warp kernels of the action delay, for engines that run all ticks of a control step in one (captured) call."""

# Kernels are Python by syntax only; Warp's array annotations carry neither indexing nor comparison.
# pyright: reportIndexIssue=false, reportOperatorIssue=false, reportAssignmentType=false, reportGeneralTypeIssues=false

import warp as wp


@wp.kernel(enable_backward=False)
def hold_previous_targets(
    previous: wp.array2d[wp.float32],
    current: wp.array2d[wp.float32],
    delay: wp.array[wp.int32],
    tick: wp.array[wp.int32],
    columns: wp.array[wp.int32],
    target: wp.array2d[wp.float32],
):
    """Write the targets that hold in this tick; the tick is counted on the device, so CUDA graphs may replay this."""
    world, joint = wp.tid()
    if tick[0] < delay[world]:
        target[world, columns[joint]] = previous[world, joint]
    else:
        target[world, columns[joint]] = current[world, joint]


@wp.kernel(enable_backward=False)
def count_tick(tick: wp.array[wp.int32]):
    """Count a tick, after all worlds have read the counter."""
    tick[0] = tick[0] + 1
