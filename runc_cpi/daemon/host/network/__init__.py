"""The VM network on the host: the bridge, filters of frames, and sockets."""
