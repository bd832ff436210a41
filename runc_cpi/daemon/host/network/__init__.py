"""The network on the host: the bridge, veth pairs, filters of frames, and sockets."""
