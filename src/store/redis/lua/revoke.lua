local nothing = ARGV[2]
local record, err = found()
-- What is no hash, or no record of ours, is kept beside it. Any other error is the server's.
if err and not string.find(err.err, 'WRONGTYPE', 1, true) then
  return err
end
local not_ours = err or flaw_of_kind(record)
if not (not_ours or flaw(record) or flaw_of_grant(record)) then
  local generation = record and up(up(record.generation)) or '1'
  return answer('revoked', fresh(record, generation, generation, 'revoked', nothing, ''))
end

local moment = string.format('%.0f', now)
local aside = key .. ':unreadable-' .. moment
local kept, number = aside, 1
while redis.call('RENAMENX', key, kept) == 0 do
  number = number + 1
  kept = aside .. '-' .. number
end
-- Generations and fences are counted one by one, so none has come as far as the milliseconds.
local function above(field, ups)
  if not_ours or not is_number(record[field], MAX) then
    return moment
  end
  return ups(record[field])
end
local generation = above('generation', function(it) return up(up(it)) end)
local fence = above('fence', up)
local why = 'the record could not be read and was set aside as ' .. kept
local revoked = fresh(nil, generation, generation, 'revoked', nothing, '', fence, why)
return answer('revoked', revoked)
