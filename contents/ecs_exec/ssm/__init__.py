"""The SSM data channel without I/O: bytes and the time in, events and bytes out.

Nothing here opens a socket, reads a clock or draws a random number, so that every conversation can be replayed
in a test, byte for byte. `channel.DataChannel` is the whole of it for a transport; `messages` and `payloads` are
the wire format, `delivery` is order and retransmission, `handshake` is what the agent may ask for first.
"""
