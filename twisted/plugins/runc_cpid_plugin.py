"""What makes C{twistd} know C{runc-cpid}; the service itself is imported when chosen."""

from twisted.application.service import ServiceMaker

runc_cpid = ServiceMaker(
    name="BOSH runc CPI daemon",
    module="runc_cpi.daemon.tap",
    description="Run BOSH VMs as runc containers on this host.",
    tapname="runc-cpid",
)
