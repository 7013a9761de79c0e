"""A policy in an ONNX file: the network, and what it must remember to act."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from legged_cts.deploy.contract import CONTRACT_KEY, HASH_SINCE, ContractError, PolicyContract
from legged_cts.deploy.onnx_file import first_run, network_hash, open_session, read_onnx
from legged_cts.deploy.robot import Array
from legged_cts.trust.plain import one_line


class OnnxNetwork:
    """The network of an ONNX file, checked against its contract; it remembers nothing and takes batches.

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
        try:
            data = read_onnx(path)
            self._session = open_session(data)
            metadata = self._session.get_modelmeta().custom_metadata_map
        except Exception as error:  # onnxruntime raises classes of its own that it does not export
            reason = one_line(error)
            raise ContractError(f"policy: {path} is no ONNX file that can be read: {reason}") from error
        if CONTRACT_KEY not in metadata:
            raise ContractError(f"policy: {path} carries no contract ('{CONTRACT_KEY}'); export it with legged_cts")
        try:
            self.contract = PolicyContract.from_json(metadata[CONTRACT_KEY])
        except ContractError as error:
            raise ContractError(f"policy: {path}: {error}") from error
        if self.contract.version >= HASH_SINCE and self.contract.network_hash != network_hash(data):
            raise ContractError(f"policy: {path} is damaged: its network is not the one that its contract was made for")
        self._inputs, outputs = network_shapes(self.contract)
        self._check("input", self._session.get_inputs(), self._inputs)
        self._check("output", self._session.get_outputs(), outputs)
        self._try_out(path, outputs)

    def initial_state(self, batch: int) -> Array:
        """The state after a reset, zeros float32 [B, S]; S is 0 for a feed-forward policy."""
        return np.zeros((batch, self.contract.state_size), dtype=np.float32)

    def run(self, proprioception: Array, history: Array, state: Array) -> tuple[Array, Array]:
        """One step of each row.

        Args:
            proprioception: o_t, float32 [B, n].
            history: the last H proprioceptions, oldest first, float32 [B, H, n].
            state: what the step before returned, or `initial_state`, float32 [B, S].

        Returns:
            Actions [B, d], not clipped, and the next state [B, S].
        """
        feed = {"proprioception": proprioception, "history": history}
        try:
            if not self.contract.state_size:
                return np.asarray(self._session.run(["actions"], feed)[0]), state
            actions, next_state = self._session.run(["actions", "next_state"], {**feed, "state": state})
        except Exception as error:
            raise ContractError(f"policy: its network failed: {one_line(error)}") from error
        return np.asarray(actions), np.asarray(next_state)

    def _try_out(self, path: Path, outputs: dict[str, tuple[int, ...]]) -> None:
        """Run the network once on zeros, so that what cannot run fails here and not on the robot."""
        feed = {name: np.zeros((1, *shape), dtype=np.float32) for name, shape in self._inputs.items()}
        try:
            results = first_run(self._session, list(outputs), feed)
        except Exception as error:
            raise ContractError(f"policy: {path}: its network failed: {one_line(error)}") from error
        for (name, shape), result in zip(outputs.items(), results, strict=True):
            if np.shape(result) != (1, *shape):
                raise ContractError(f"policy: {path}: '{name}' came out as {np.shape(result)}, not as {(1, *shape)}")

    def _check(self, kind: str, nodes: Sequence[onnxruntime.NodeArg], wanted: dict[str, tuple[int, ...]]) -> None:
        present = {node.name: node for node in nodes}
        if set(present) != set(wanted):
            size = self.contract.state_size
            raise ContractError(
                f"policy: expected the {kind}s {sorted(wanted)} of a contract with the state_size {size}, "
                f"got {sorted(present)}"
            )
        for name, shape in wanted.items():
            node = present[name]
            # The first axis is the batch.
            if tuple(node.shape[1:]) != shape:
                raise ContractError(f"policy: '{name}' has the shape {node.shape[1:]}, the contract says {list(shape)}")
            if node.type != "tensor(float)":
                raise ContractError(f"policy: '{name}' has the type {node.type}, expected tensor(float)")


def network_shapes(contract: PolicyContract) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """The inputs and the outputs of a contract's network in order, by name, each with its shape without the batch."""
    n, s = contract.observation_size, contract.state_size
    inputs: dict[str, tuple[int, ...]] = {"proprioception": (n,), "history": (contract.history_length, n)}
    outputs: dict[str, tuple[int, ...]] = {"actions": (len(contract.joints),)}
    return (inputs | {"state": (s,)}, outputs | {"next_state": (s,)}) if s else (inputs, outputs)


class OnnxPolicy:
    """Runs a policy: `act` of one robot, whose history it keeps, or called with the observations of many environments.

    It keeps the state of a recurrent policy, so use one per robot, or per environment of many, and call `reset` when
    an episode starts.

    Args:
        path: ONNX file written by `legged_cts.export`.

    Raises:
        FileNotFoundError: if there is no such file.
        ContractError: if the file has no contract, or its inputs and outputs do not have the contract's shapes.
    """

    def __init__(self, path: str | Path) -> None:
        """Load the file and check it against its contract."""
        self._network = OnnxNetwork(path)
        self.contract = self._network.contract
        self._default = np.asarray(self.contract.default_joint_pos)
        self._scale = np.asarray(self.contract.action_scale)
        self._history: Array | None = None
        self._state = self._network.initial_state(1)

    def reset(self, dones: Any = None) -> None:
        """Forgets the state and the history; the next proprioception begins a new one, see `history_reset`.

        Args:
            dones: which of many environments began anew, bool or int [N]; none is all of them.
        """
        if dones is None:
            self._history = None
            self._state = self._network.initial_state(1)
        elif len(dones) == len(self._state):
            self._state = np.where(_on_cpu(dones)[:, None] > 0, np.float32(0), self._state)

    @property
    def history(self) -> Array | None:
        """The last H proprioceptions, oldest first, float32 [H, n]; None between a reset and the first `act`."""
        return None if self._history is None else self._history.copy()

    @property
    def state(self) -> Array:
        """The state that the next `act` begins with, float32 [S]; empty if the policy is feed-forward."""
        return self._state[0].copy()

    def act(self, proprioception: Array) -> Array:
        """The action for this proprioception, which becomes the newest entry of the history.

        Args:
            proprioception: o_t [n].

        Returns:
            Actions clipped to the contract's `action_clip`, float32 [d].

        Raises:
            ValueError: if o_t has the wrong shape, naming its first term that is not finite, or if an action or the
                next state is not finite; the state then stays what it was.
        """
        frame = np.asarray(proprioception, dtype=np.float32)
        if frame.shape != (self.contract.observation_size,):
            raise ValueError(f"proprioception: expected shape ({self.contract.observation_size},), got {frame.shape}")
        if not np.isfinite(frame).all():
            raise ValueError(f"proprioception: the term '{self._bad_term(frame)}' holds a value that is not finite")
        if len(self._state) != 1:
            self._state = self._network.initial_state(1)
        past = self._first_history(frame) if self._history is None else self._history
        self._history = np.concatenate((past[1:], frame[None]))
        actions, state = self._network.run(frame[None], self._history[None], self._state)
        for name, values in (("actions", actions), ("state", state)):
            if not np.isfinite(values).all():
                raise ValueError(f"{name}: the policy gave a value that is not finite")
        self._state = state
        return np.clip(actions[0], -self.contract.action_clip, self.contract.action_clip)

    def __call__(self, obs: Any, /) -> Any:
        """The actions of N environments, not clipped, for they clip them.

        Args:
            obs: mapping with `proprioception` [N, n] and `history` [N, H, n], oldest first, as arrays or tensors.

        Returns:
            Actions [N, d], of the kind that `proprioception` is.

        Raises:
            ContractError: if their widths are not those that the policy reads.
        """
        frame, history = obs["proprioception"], obs["history"]
        wanted = self.contract.history_length, self.contract.observation_size
        if tuple(frame.shape) != (len(frame), wanted[1]) or tuple(history.shape) != (len(frame), *wanted):
            raise ContractError(
                f"the policy reads proprioception [N, {wanted[1]}] and history [N, {wanted[0]}, {wanted[1]}], not "
                f"{list(frame.shape)} and {list(history.shape)}; legged_cts.make_env(policy=...) makes what it reads"
            )
        if len(self._state) != len(frame):
            self._state = self._network.initial_state(len(frame))
        frames, histories = (np.asarray(_on_cpu(one), dtype=np.float32) for one in (frame, history))
        actions, self._state = self._network.run(frames, histories, self._state)
        return frame.new_tensor(actions) if hasattr(frame, "new_tensor") else actions

    def joint_targets(self, actions: Array) -> Array:
        """Joint angles to ask for, default_joint_pos + action_scale * actions, [d] in rad."""
        return self._default + self._scale * np.asarray(actions, dtype=np.float64)

    def _first_history(self, frame: Array) -> Array:
        """What the history holds before the first proprioception, float32 [H, n]."""
        past = frame if self.contract.history_reset == "backfill" else np.zeros_like(frame)
        return np.repeat(past[None], self.contract.history_length, axis=0)

    def _bad_term(self, frame: Array) -> str:
        terms = self.contract.observations
        names = np.repeat([term.name for term in terms], [term.size for term in terms])
        return str(names[~np.isfinite(frame)][0])


def _on_cpu(values: Any) -> Array:
    """An array for an array or a tensor, without importing what a tensor is of."""
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)
