if obj.metadata.labels == nil then
  obj.metadata.labels = {}
end
obj.metadata.labels["runwright.dev/storage-state"] = "Available"
return obj
