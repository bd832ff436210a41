"""
The daemon: L{rpc<runc_cpi.daemon.rpc>} translates calls for
L{domain<runc_cpi.daemon.domain>}, which keeps its records in
L{storage<runc_cpi.daemon.storage>} and acts through
L{drivers<runc_cpi.daemon.drivers>}; only L{service<runc_cpi.daemon.service>} knows all.
"""
