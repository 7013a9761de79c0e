"""The ground: kinds of sub-terrain, grids of them, and look-up of heights; numpy alone, for training and for MuJoCo."""
