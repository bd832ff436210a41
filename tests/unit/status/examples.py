"""A daemon's parts over a fake host, with VMs that have been busy for an hour."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from itertools import count
from math import sin
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import ensureDeferred

from runc_cpi.daemon.base.address_range import AddressRange
from runc_cpi.daemon.doctor.finding import Finding, fine, warning
from runc_cpi.daemon.events.event import CALL, DAEMON, FAILED, OK
from runc_cpi.daemon.networks.model import Subnet
from runc_cpi.daemon.status.documents import Documents, Facts
from runc_cpi.daemon.status.samples import INTERVAL, SIZE, Samples
from runc_cpi.daemon.storage.depot import Depot
from runc_cpi.daemon.vms.places import Places
from runc_cpi.daemon.vms.usage import Usage
from runc_cpi.daemon.vms.vm import VM
from tests.fakes.assembly import Assembly, assemble, new_vm
from tests.fakes.script import Script
