"""The library's own HTTP/1.1 client: what lies between an adapter's request and the provider's bytes.

``Connections`` serves sync callers, ``AsyncConnections`` those on one asyncio event loop; both are given an
``Origin`` and ``HttpSettings``. What they decide is written once, in modules that hold no socket.
"""
