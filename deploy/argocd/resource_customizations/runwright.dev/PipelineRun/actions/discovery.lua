-- The actions of a PipelineRun in its present state. A disabled action would be rejected by the API server or change nothing.

local status = obj.status or {}
local labels = obj.metadata.labels or {}

local deleting = obj.metadata.deletionTimestamp ~= nil
local failed = status.phase == "Failed" or status.phase == "Error"
local finished = failed or status.phase == "Succeeded" or status.phase == "Skipped"
local archived = labels["runwright.dev/storage-state"] == "Archived"
local retry_requested = (obj.spec.retries or 0) > (status.retries or 0)
local shutdown = obj.spec.shutdown

local function action(icon, name, enabled)
  return { iconClass = "fa fa-fw " .. icon, displayName = name, disabled = deleting or not enabled }
end

return {
  stop = action("fa-stop", "Stop (exit handlers run)", not finished and shutdown == nil),
  terminate = action("fa-stop", "Terminate (exit handlers do not run)", not finished and shutdown ~= "Terminate"),
  retry = action("fa-redo", "Retry", failed and not archived and not retry_requested),
  archive = action("fa-lock", "Archive", not archived),
  unarchive = action("fa-unlock", "Unarchive", archived),
}
