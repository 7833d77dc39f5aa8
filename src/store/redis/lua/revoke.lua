local nothing = ARGV[2]
local record, err = standing()
if err then
  return err
end
local generation = record and up(up(record.generation)) or '1'
return answer('revoked', fresh(record, generation, generation, 'revoked', nothing, ''))
