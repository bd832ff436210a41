"""
The daemon, grouped by BOSH's nouns.

L{vms<runc_cpi.daemon.vms>}, L{stemcells<runc_cpi.daemon.stemcells>},
L{disks<runc_cpi.daemon.disks>} and L{networks<runc_cpi.daemon.networks>} say what calls
mean.  L{host<runc_cpi.daemon.host>} provides what they ask of Linux.
L{entrance<runc_cpi.daemon.entrance>} and L{rpc<runc_cpi.daemon.rpc>} let callers in.
"""
