-- The counter goes on from what was carried out, so that asking twice asks once. A run that was shut down runs again
-- only without its shutdown, which may be taken back in this edit alone.
local status = obj.status or {}
obj.spec.retries = (status.retries or 0) + 1
obj.spec.shutdown = nil
return obj
