"""Calls the few functions of a PKCS#11 module that the Python binding does not offer as trus needs them.

Knows no token and no key. The binding initialises a module with no arguments at all; this
one asks for the operating system's locks and can hand over the text that some modules take
their configuration from (PKCS#11 section 5.4, C_Initialize; CK_C_INITIALIZE_ARGS).
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

from pkcs11._pkcs11 import lib as Binding  # noqa: N812 - the binding's class, as it is named there

#: CKF_OS_LOCKING_OK: the module may be called from several threads and locks for itself.
_OS_LOCKING_OK: Final = 0x2
_OK: Final = 0x0
#: CKR_CRYPTOKI_NOT_INITIALIZED: there is nothing to finalise.
_NOT_INITIALIZED: Final = 0x190
#: Places in CK_FUNCTION_LIST, whose order the standard fixes; only C_GetFunctionList need be exported.
_C_INITIALIZE: Final = 0
_C_FINALIZE: Final = 1
_C_INIT_TOKEN: Final = 9
_C_WRAP_KEY: Final = 60
#: More than any P-256 PrivateKeyInfo takes wrapped (about 150 bytes).
_WRAPPED_BYTES: Final = 1024


class RefusedByModule(Exception):
    """A PKCS#11 function answered something else than CKR_OK; `answer` is its return value."""

    def __init__(self, function: str, answer: int) -> None:
        super().__init__(f"{function} answered CKR {answer:#x}")
        self.answer = answer


class _InitializeArguments(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS, as modules that take a text know it: the text, then the reserved pointer."""

    _fields_ = [
        ("mutex_functions", ctypes.c_void_p * 4),
        ("flags", ctypes.c_ulong),
        ("parameters", ctypes.c_char_p),
        ("reserved", ctypes.c_void_p),
    ]


class _Mechanism(ctypes.Structure):
    """CK_MECHANISM."""

    _fields_ = [
        ("mechanism", ctypes.c_ulong),
        ("parameter", ctypes.c_void_p),
        ("parameter_bytes", ctypes.c_ulong),
    ]


class _FunctionList(ctypes.Structure):
    """CK_FUNCTION_LIST up to C_WrapKey: a version, padded to a pointer's width, then functions."""

    _fields_ = [("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * (_C_WRAP_KEY + 1))]


class NativeModule:
    """The functions of one loaded module."""

    def __init__(self, path: str) -> None:
        """Load the library. Raises OSError, AttributeError or RefusedByModule when it is no PKCS#11 module."""
        library = ctypes.CDLL(path)
        table = ctypes.POINTER(_FunctionList)()
        answer = library.C_GetFunctionList(ctypes.byref(table))
        if answer != _OK:
            raise RefusedByModule("C_GetFunctionList", answer)
        self._functions = table.contents.functions

    def _call(self, place: int, *arguments: Any) -> int:
        kinds = [type(each) if isinstance(each, ctypes.c_ulong) else ctypes.c_void_p for each in arguments]
        function = ctypes.CFUNCTYPE(ctypes.c_ulong, *kinds)(self._functions[place])
        return int(function(*arguments))

    def initialize(self, parameters: str) -> None:
        """Call C_Initialize, with this text when it is not empty. Raises RefusedByModule."""
        given = _InitializeArguments()
        given.flags = _OS_LOCKING_OK
        given.parameters = parameters.encode("utf-8") or None
        answer = self._call(_C_INITIALIZE, ctypes.addressof(given))
        if answer != _OK:
            raise RefusedByModule("C_Initialize", answer)

    def finalize(self) -> None:
        """Call C_Finalize: every session of this process is over. Raises RefusedByModule."""
        answer = self._call(_C_FINALIZE, None)
        if answer not in (_OK, _NOT_INITIALIZED):
            raise RefusedByModule("C_Finalize", answer)

    def init_token(self, slot: int, officer_pin: bytes, label: bytes) -> None:
        """Call C_InitToken; `label` has 32 bytes, padded with blanks. Raises RefusedByModule."""
        pin = ctypes.create_string_buffer(officer_pin, len(officer_pin))
        name = ctypes.create_string_buffer(label, len(label))
        answer = self._call(
            _C_INIT_TOKEN,
            ctypes.c_ulong(slot),
            ctypes.addressof(pin),
            ctypes.c_ulong(len(officer_pin)),
            ctypes.addressof(name),
        )
        if answer != _OK:
            raise RefusedByModule("C_InitToken", answer)

    def wrap_key(self, session: int, mechanism: int, wrapping: int, key: int) -> bytes:
        """Call C_WrapKey once, with room enough: softokn answers a question for the length wrongly.

        The arguments are the numbers of session, mechanism and objects. Raises RefusedByModule.
        """
        given = _Mechanism(mechanism, None, 0)
        room = ctypes.create_string_buffer(_WRAPPED_BYTES)
        length = ctypes.c_ulong(_WRAPPED_BYTES)
        answer = self._call(
            _C_WRAP_KEY,
            ctypes.c_ulong(session),
            ctypes.addressof(given),
            ctypes.c_ulong(wrapping),
            ctypes.c_ulong(key),
            ctypes.addressof(room),
            ctypes.addressof(length),
        )
        if answer != _OK:
            raise RefusedByModule("C_WrapKey", answer)
        return room.raw[: length.value]


class InitializedLibrary(Binding):
    """The binding's view of a module that a NativeModule initialises and finalises."""

    def initialize(self) -> None:
        """Do nothing: the module is initialised already, with arguments that the binding does not know."""
