-- Counts from the completed retries, so that requesting a retry twice requests one. A run with a shutdown can only run again
-- without it, and only this edit may remove it.
local status = obj.status or {}
obj.spec.retries = (status.retries or 0) + 1
obj.spec.shutdown = nil
return obj
