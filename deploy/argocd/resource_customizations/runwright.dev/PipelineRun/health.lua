-- The health of a PipelineRun of Runwright.
--
-- Its conditions: Succeeded is Unknown until the run ends, then True or False. Stalled, which has kstatus's meaning, is
-- True when a person must act before the run can go on. No Lua library is used: Argo CD opens none for argocd-cm.

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

local function told(condition)
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
local asked = obj.spec.retries or 0
-- A retry of an archived run waits until it is unarchived: its end stands till then.
local to_be_retried = finished and succeeded.status == "False" and asked > retries
  and labels["runwright.dev/storage-state"] ~= "Archived"
-- Nothing but a retry changes an end. So it is shown whatever else was edited, and of a run that is archived, which the
-- operator does not look at any more.
local settled = finished and not to_be_retried

if not settled then
  if succeeded == nil and stalled == nil then
    return health("Progressing", "Waiting for the operator")
  end
  if (status.observedGeneration or 0) < obj.metadata.generation then
    if to_be_retried then
      return health("Progressing", "Waiting for retry " .. asked)
    end
    return health("Progressing", "Waiting for the operator to see generation " .. obj.metadata.generation)
  end
  if stalled ~= nil and stalled.status == "True" then
    if stalled.reason == "PreviousWorkflow" then
      -- The Workflow of a run that this one replaces is still being collected: that passes without anybody.
      return health("Progressing", told(stalled))
    end
    return health("Degraded", told(stalled))
  end
  if to_be_retried then
    return health("Progressing", "Waiting for retry " .. asked)
  end
end

if finished then
  if succeeded.status == "True" then
    return health("Healthy", told(succeeded))
  end
  return health("Degraded", told(succeeded))
end

-- The run goes on. It is suspended where a suspend node waits and no step is at work.
local waits, works = nil, false
for _, node in ipairs(status.nodes or {}) do
  if node.phase == "Running" or node.phase == "Pending" then
    if node.type == "Suspend" then
      waits = waits or node.name
    elseif node.type == "Pod" or node.type == "Container" or node.type == "HTTP" or node.type == "Plugin" then
      works = true
    end
  end
end
if waits ~= nil and not works then
  return health("Suspended", "Waiting at the suspend node " .. waits)
end

local inline = obj.spec.workflow.spec
if inline ~= nil and inline.suspend == true and status.workflow ~= nil and status.nodes == nil then
  return health("Suspended", "The Workflow is suspended before its first step")
end

if succeeded == nil then
  return health("Progressing", "Waiting for the operator")
end
local message = told(succeeded)
if message == succeeded.reason and status.progress ~= nil then
  message = message .. ", " .. status.progress
end
return health("Progressing", message)
