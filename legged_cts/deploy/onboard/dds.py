"""Unitree's topics over DDS, by Cyclone DDS 0.10 (the extra `unitree`)."""

# Cyclone DDS is an extra, and its types are made at run time (it reads annotations, which must be no strings).
# pyright: reportMissingImports=false, reportAssignmentType=false, reportGeneralTypeIssues=false, reportCallIssue=false
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from cyclonedds.core import InstanceState, Policy, Qos, ReadCondition, SampleState, ViewState, WaitSet
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.idl import IdlStruct, make_idl_struct, types
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration

from legged_cts.deploy.onboard.wire import MESSAGES, STRUCTS, crc, from_cdr, to_cdr
from legged_cts.deploy.robot import Array

_CONFIG = """<CycloneDDS><Domain Id="any"><General><Interfaces>
<NetworkInterface name="{}" priority="default" multicast="default"/>
</Interfaces></General></Domain></CycloneDDS>"""


class Node:
    """A participant on one network interface.

    Args:
        domain: number of the DDS domain.
        interface: network interface, `lo` say.
    """

    def __init__(self, domain: int, interface: str) -> None:
        """Join the domain."""
        # The domain must outlive the participant.
        self._domain = Domain(domain, _CONFIG.format(interface))
        self.participant: Any = DomainParticipant(domain)
        self._topics: dict[str, Topic] = {}

    def topic(self, name: str, kind: type[IdlStruct]) -> Topic:
        """The topic of this name; made once."""
        if name not in self._topics:
            self._topics[name] = Topic(self.participant, name, kind)
        return self._topics[name]

    def close(self) -> None:
        """Leaves the domain."""
        self._topics.clear()
        self.participant = None


class MessageWriter:
    """Writes messages of one kind, each with its CRC."""

    def __init__(self, node: Node, topic: str, kind: str) -> None:
        """Begin to publish."""
        self.kind = kind
        self._type = _raw_type(kind)
        self._writer = DataWriter(node.participant, node.topic(topic, self._type))

    def write(self, message: Array, wrong: int = 0) -> None:
        """Puts the CRC into a message, with the bits of `wrong` turned, and sends it."""
        message["crc"] = crc(message) ^ wrong
        sample = self._type.__new__(self._type)
        sample.data = to_cdr(self.kind, message)
        self._writer.write(sample)


class MessageReader:
    """Reads messages of one kind; of others than this participant alone if `foreign`."""

    def __init__(self, node: Node, topic: str, kind: str, foreign: bool = False) -> None:
        """Begin to listen."""
        self.kind = kind
        qos = Qos(Policy.IgnoreLocal.Participant) if foreign else None
        self._reader = DataReader(node.participant, node.topic(topic, _raw_type(kind)), qos)
        self._waits = WaitSet(node.participant)
        self._news = ReadCondition(self._reader, ViewState.Any | SampleState.NotRead | InstanceState.Any)
        self._waits.attach(self._news)

    def newest(self, timeout: float = 0.0) -> Array | None:
        """The newest message since the last call; waits at most this long [s] for one."""
        samples = self._reader.take(N=16)
        if not samples and timeout > 0:
            self._waits.wait(duration(microseconds=max(1, round(1e6 * timeout))))
            samples = self._reader.take(N=16)
        found = [sample for sample in samples if isinstance(sample, _Bytes)]
        return from_cdr(self.kind, found[-1]) if found else None


class _Bytes(bytes):
    """What arrived, to which Cyclone DDS attaches its information."""


@cache
def _raw_type(kind: str) -> type[IdlStruct]:
    """A type of Cyclone DDS which others take for the message, but whose samples are bytes already."""
    made = _idl_type(kind, MESSAGES[kind])
    made.serialize = lambda self, **_: self.data
    made.deserialize = classmethod(lambda _, data, **__: _Bytes(data))
    return made


def _idl_type(name: str, structure: np.dtype) -> Any:
    fields = {part: _member(content[0]) for part, content in (structure.fields or {}).items()}
    return make_idl_struct(name.rsplit(".", 1)[1], name, fields, dataclassify=False)


def _member(kind: np.dtype) -> Any:
    if kind.subdtype is not None:
        base, shape = kind.subdtype
        return types.array[_member(base), shape[0]]
    if kind in STRUCTS:
        return _idl_type(STRUCTS[kind], kind)
    return {"u1": types.uint8, "u2": types.uint16, "u4": types.uint32, "i2": types.int16, "i4": types.int32,
            "f4": types.float32}[kind.str[1:]]  # fmt: skip


@dataclass
class Identity(IdlStruct, typename="unitree_api.msg.dds_.RequestIdentity_"):
    """Which request this is, and what it asks for."""

    id: types.int64 = 0
    api_id: types.int64 = 0


@dataclass
class Lease(IdlStruct, typename="unitree_api.msg.dds_.RequestLease_"):
    """Whose request this is."""

    id: types.int64 = 0


@dataclass
class Priority(IdlStruct, typename="unitree_api.msg.dds_.RequestPolicy_"):
    """How a request is to be handled."""

    priority: types.int32 = 0
    noreply: bool = False


@dataclass
class Status(IdlStruct, typename="unitree_api.msg.dds_.ResponseStatus_"):
    """0 is success."""

    code: types.int32 = 0


@dataclass
class RequestHeader(IdlStruct, typename="unitree_api.msg.dds_.RequestHeader_"):
    """Head of a request."""

    identity: Identity = field(default_factory=Identity)
    lease: Lease = field(default_factory=Lease)
    policy: Priority = field(default_factory=Priority)


@dataclass
class ResponseHeader(IdlStruct, typename="unitree_api.msg.dds_.ResponseHeader_"):
    """Head of a response."""

    identity: Identity = field(default_factory=Identity)
    status: Status = field(default_factory=Status)


@dataclass
class Request(IdlStruct, typename="unitree_api.msg.dds_.Request_"):
    """A request to one of the robot's services; the parameter is JSON."""

    header: RequestHeader = field(default_factory=RequestHeader)
    parameter: str = "{}"
    binary: types.sequence[types.uint8] = field(default_factory=list)


@dataclass
class Response(IdlStruct, typename="unitree_api.msg.dds_.Response_"):
    """Its answer; the data are JSON."""

    header: ResponseHeader = field(default_factory=ResponseHeader)
    data: str = ""
    binary: types.sequence[types.uint8] = field(default_factory=list)
