-- Health of a PipelineRun of Runwright.
--
-- The condition Succeeded is Unknown until the run ends, then True or False. Stalled, as in kstatus, is True when a user must
-- act before the run can continue. The script uses no Lua library, because Argo CD opens none for argocd-cm.

local status = obj.status or {}
local labels = obj.metadata.labels or {}

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local succeeded = conditions["Succeeded"]
local stalled = conditions["Stalled"]

local function health(word, message)
  return { status = word, message = message }
end

local function describe(condition)
  if condition.message == nil or condition.message == "" then
    return condition.reason
  end
  return condition.reason .. ": " .. condition.message
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "The run is being deleted")
end

local finished = succeeded ~= nil and succeeded.status ~= "Unknown"
local retries = status.retries or 0
local requested = obj.spec.retries or 0
-- A retry of an archived run waits until the run is unarchived. Until then its end remains.
local retry_pending = finished and succeeded.status == "False" and requested > retries
  and labels["runwright.dev/storage-state"] ~= "Archived"
-- Only a retry changes the end of a run. So the script shows the end despite other edits, and for archived runs, which the
-- operator no longer reconciles.
local settled = finished and not retry_pending

if not settled then
  if succeeded == nil and stalled == nil then
    return health("Progressing", "Waiting for the operator")
  end
  if (status.observedGeneration or 0) < obj.metadata.generation then
    if retry_pending then
      return health("Progressing", "Waiting for retry " .. requested)
    end
    return health("Progressing", "Waiting for the operator to see generation " .. obj.metadata.generation)
  end
  if stalled ~= nil and stalled.status == "True" then
    if stalled.reason == "PreviousWorkflow" then
      -- The Workflow of a former run with this name is still being garbage-collected. No user has to act.
      return health("Progressing", describe(stalled))
    end
    return health("Degraded", describe(stalled))
  end
  if retry_pending then
    return health("Progressing", "Waiting for retry " .. requested)
  end
end

if finished then
  if succeeded.status == "True" then
    return health("Healthy", describe(succeeded))
  end
  return health("Degraded", describe(succeeded))
end

-- The run is in progress. It is suspended if a suspend node is running and no other step is.
local suspend_node, working = nil, false
for _, node in ipairs(status.nodes or {}) do
  if node.phase == "Running" or node.phase == "Pending" then
    if node.type == "Suspend" then
      suspend_node = suspend_node or node.name
    elseif node.type == "Pod" or node.type == "Container" or node.type == "HTTP" or node.type == "Plugin" then
      working = true
    end
  end
end
if suspend_node ~= nil and not working then
  return health("Suspended", "Waiting at the suspend node " .. suspend_node)
end

local inline = obj.spec.workflow.spec
if inline ~= nil and inline.suspend == true and status.workflow ~= nil and status.nodes == nil then
  return health("Suspended", "The Workflow is suspended before its first step")
end

if succeeded == nil then
  return health("Progressing", "Waiting for the operator")
end
local message = describe(succeeded)
if message == succeeded.reason and status.progress ~= nil then
  message = message .. ", " .. status.progress
end
return health("Progressing", message)
