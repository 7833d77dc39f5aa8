local generation, lineage, grant, expires_in = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local record, err = found()
err = err or flaw(record)
if err then
  return err
end
if record and not below(record.generation, generation) then
  return answer('superseded', record)
end
err = flaw_of_grant(record)
if err then
  return err
end
local expires_at = expires_in ~= '' and after(expires_in) or ''
return answer('committed', fresh(record, generation, lineage, 'active', grant, expires_at))
