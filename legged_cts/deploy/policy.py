"""A policy in an ONNX file, with the history it needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from legged_cts.deploy.contract import CONTRACT_KEY, ContractError, PolicyContract
from legged_cts.deploy.robot import Array


class OnnxPolicy:
    """Runs the policy of one robot. Keeps the history, so use one per robot and call `reset` when an episode starts.

    Args:
        path: ONNX file written by `legged_cts.export`.

    Raises:
        FileNotFoundError: if there is no such file.
        ContractError: if the file has no contract, or its inputs and outputs do not have the contract's shapes.
    """

    def __init__(self, path: str | Path) -> None:
        """Load the file and check it against its contract."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"policy: there is no file {path}; write one with scripts/export.py checkpoint=...")
        options = onnxruntime.SessionOptions()
        # The networks are small: handing work to threads costs more than it saves.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises classes of its own that it does not export
            raise ContractError(f"policy: {path} is no ONNX file that onnxruntime can read: {error}") from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        if CONTRACT_KEY not in metadata:
            raise ContractError(f"policy: {path} carries no contract ('{CONTRACT_KEY}'); export it with legged_cts")
        self.contract = PolicyContract.from_json(metadata[CONTRACT_KEY])
        self._check_shapes()
        self._history: Array | None = None
        self._default = np.asarray(self.contract.default_joint_pos)

    def reset(self) -> None:
        """Forgets the history; the next proprioception fills all its slots."""
        self._history = None

    @property
    def history(self) -> Array | None:
        """The last H proprioceptions, oldest first, float32 [H, n]; None between a reset and the first `act`."""
        return None if self._history is None else self._history.copy()

    def act(self, proprioception: Array) -> Array:
        """The action for this proprioception, which becomes the newest entry of the history.

        Args:
            proprioception: o_t [n].

        Returns:
            Actions clipped to the contract's `action_clip`, float32 [d].

        Raises:
            ValueError: if o_t has the wrong shape, or naming its first term that is not finite.
        """
        frame = np.asarray(proprioception, dtype=np.float32)
        if frame.shape != (self.contract.observation_size,):
            raise ValueError(f"proprioception: expected shape ({self.contract.observation_size},), got {frame.shape}")
        if not np.isfinite(frame).all():
            raise ValueError(f"proprioception: the term '{self._bad_term(frame)}' holds a value that is not finite")
        if self._history is None:
            self._history = np.repeat(frame[None], self.contract.history_length, axis=0)
        else:
            self._history = np.concatenate((self._history[1:], frame[None]))
        feed = {"proprioception": frame[None], "history": self._history[None]}
        actions = np.asarray(self._session.run(["actions"], feed)[0])[0]
        if not np.isfinite(actions).all():
            raise ValueError("actions: the policy gave a value that is not finite")
        return np.clip(actions, -self.contract.action_clip, self.contract.action_clip)

    def joint_targets(self, actions: Array) -> Array:
        """Joint angles to ask for, default_joint_pos + action_scale * actions [rad] [d]."""
        return self._default + self.contract.action_scale * np.asarray(actions, dtype=np.float64)

    def _bad_term(self, frame: Array) -> str:
        terms = self.contract.observations
        names = np.repeat([term.name for term in terms], [term.size for term in terms])
        return str(names[~np.isfinite(frame)][0])

    def _check_shapes(self) -> None:
        n, d = self.contract.observation_size, len(self.contract.joints)
        wanted = {"proprioception": [n], "history": [self.contract.history_length, n], "actions": [d]}
        nodes = {node.name: node for node in (*self._session.get_inputs(), *self._session.get_outputs())}
        if set(nodes) != set(wanted):
            raise ContractError(f"policy: expected the inputs and outputs {sorted(wanted)}, got {sorted(nodes)}")
        for name, shape in wanted.items():
            # The first axis is the batch.
            if list(nodes[name].shape[1:]) != shape:
                raise ContractError(
                    f"policy: '{name}' has the shape {nodes[name].shape[1:]}, the contract says {shape}"
                )
            if nodes[name].type != "tensor(float)":
                raise ContractError(f"policy: '{name}' has the type {nodes[name].type}, expected tensor(float)")
