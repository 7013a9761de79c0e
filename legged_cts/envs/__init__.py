"""From a robot spec and a Hydra configuration to an Isaac Lab environment."""
