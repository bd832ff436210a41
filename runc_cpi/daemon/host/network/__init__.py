"""The network on the host: bridges, veth pairs, rules, filters of frames, sockets."""
