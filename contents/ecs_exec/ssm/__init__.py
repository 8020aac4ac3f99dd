"""The SSM data channel without I/O: bytes and the time go in, events and bytes come out.

No module here opens a socket, reads a clock or draws a random number. So a test can replay every session, byte for
byte. A transport uses only `channel.DataChannel`. `messages` and `payloads` are the wire format, `delivery` is order
and retransmission, `handshake` answers the agent's requests before the session begins.
"""
